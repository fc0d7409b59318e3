/** What is used of WebAssembly; the libraries of TypeScript have it among a browser's things only. */

/** Memory that WebAssembly can reach; begins at a page's border. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
}

interface MemorySize {
  initial: number;
  maximum?: number;
  shared?: boolean;
}

declare const WebAssembly: {
  Memory: new (size: MemorySize) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: object };
};

const PAGE_BYTES = 64 * 1024;
/** What 32 bits of address reach. */
const PAGES_MAX = 65_536;

/** What `alignedMemory` has given. */
const aligned = new WeakSet<object>();

/** Memory of this thread's own, of at least so many bytes; begins at a page's border. */
export function alignedMemory(byteLength: number): ArrayBuffer {
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil(byteLength / PAGE_BYTES) });
  aligned.add(buffer);
  return buffer as ArrayBuffer;
}

/** Whether `bytes` are known to begin at a multiple of `border`, which divides a page. */
export function isAligned(bytes: Uint8Array, border: number): boolean {
  return aligned.has(bytes.buffer) && bytes.byteOffset % border === 0;
}

/** Memory for several threads, of at least so many bytes; undefined where that cannot be had. */
export function sharedWasmMemory(
  byteLength: number,
): (WasmMemory & { buffer: SharedArrayBuffer }) | undefined {
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  if (pages > PAGES_MAX) return undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return memory as WasmMemory & { buffer: SharedArrayBuffer };
  } catch {
    return undefined;
  }
}

/** What the module `bytes` exports once it works on `memory`. */
export function instantiate(bytes: Uint8Array, memory: WasmMemory): object {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { engine: { memory } }).exports;
}
