import { instantiate, type WasmMemory } from '../base/web-assembly.js';
import { LZ4_WASM } from './generated/lz4-wasm.js';

/** Decompresses a block as `decompressLz4Block` does, if it can. False: it has not, and what became of `target` is not known. */
export type TryDecompress = (source: Uint8Array, target: Uint8Array) => boolean;

/** A decompressor that can do nothing. */
export const noDecompress: TryDecompress = () => false;

interface Exports {
  /** Byte offsets of input and output: see schemas/lz4.wat. */
  decompress(from: number, fromEnd: number, to: number, toEnd: number): number;
}

/**
 * Decompresses what stands in `memory` into what stands there as well, several times faster than TypeScript (docs/decisions/0015). It
 * takes only whole and good blocks; where WebAssembly or its wide loads are missing, none; why another one is bad is for `decompressLz4Block` to say.
 *
 * @param memory the memory under the name by which this thread's views know it
 */
export function wasmDecompressor(memory: SharedArrayBuffer, wasm: WasmMemory): TryDecompress {
  let exports: Exports;
  try {
    exports = instantiate(Buffer.from(LZ4_WASM, 'base64'), wasm) as Exports;
  } catch {
    return noDecompress;
  }
  const { decompress } = exports;
  return (source, target) => {
    if (source.buffer !== memory || target.buffer !== memory) return false;
    const from = source.byteOffset;
    const to = target.byteOffset;
    return decompress(from, from + source.length, to, to + target.length) === 1;
  };
}
