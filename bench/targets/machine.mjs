import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { figure } from '../../dist/cli/bench/print.js';
import { GrpcTransport } from '../../dist/transport/grpc.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const STREAM = { messageBytes: 64 * KiB, depth: 32, seconds: 2 };
const SYNC_SECONDS = 0.7;
const COPY = { bytes: 8 * MiB, seconds: 0.3 };
const PREPARED_BYTES = 64 * MiB;

/**
 * What the machine gives to the simplest of things, measured now: no ratio stands without it.
 * @param {import('../../dist/bench/processes.js').Workspace} workspace
 */
export async function machineFigures(workspace) {
  const stream = await streamFigures(workspace);
  const [small, large] = [4 * KiB, 256 * KiB].map((bytes) => syncMs(workspace.directory('sync'), bytes));
  return { stream, sync4KiBMs: small, sync256KiBMs: large, copyGBPerSecond: copyRate() };
}

export function machineText({ stream, sync4KiBMs, sync256KiBMs, copyGBPerSecond }) {
  return (
    `one gRPC stream of 64 KiB messages, 32 in flight: ${figure(stream.mbPerSecond)} MB/s, p50 ${figure(stream.p50Ms)} ms; ` +
    `write and sync 4 KiB: ${figure(sync4KiBMs)} ms, 256 KiB: ${figure(sync256KiBMs)} ms; memcpy: ${figure(copyGBPerSecond)} GB/s`
  );
}

/** To a process of its own, each message answered with eight bytes. */
async function streamFigures(workspace) {
  const server = workspace.fork('stream', new URL('./stream-server.mjs', import.meta.url).href);
  const { port } = await server.ask('open');
  const transport = new GrpcTransport({ messageBytesMax: MiB, queuedBytesMax: 16 * MiB });
  const stream = transport.connect(`127.0.0.1:${port}`, 'append');
  const message = Buffer.alloc(STREAM.messageBytes, 1);
  const sentMs = [];
  const latencies = [];
  let answered = 0;
  const fill = () => {
    while (sentMs.length < STREAM.depth && stream.send(message)) sentMs.push(performance.now());
  };
  stream.onMessage = () => {
    latencies.push(performance.now() - sentMs.shift());
    answered++;
    fill();
  };
  stream.onClose = () => {};
  fill();
  const [warm, end] = [0.3, 0.3 + STREAM.seconds].map((seconds) => seconds * 1000);
  await later(warm);
  const from = { answered, atMs: performance.now(), latencies: latencies.length };
  await later(end - warm);
  const seconds = (performance.now() - from.atMs) / 1000;
  const sorted = latencies.slice(from.latencies).sort((a, b) => a - b);
  const mbPerSecond = ((answered - from.answered) * STREAM.messageBytes) / 1e6 / seconds;
  transport.close();
  await workspace.close([server], []);
  return { mbPerSecond, p50Ms: sorted[sorted.length >> 1] ?? 0 };
}

/** Median of a write and its sync into space that was filled with zeros before. */
function syncMs(directory, bytes) {
  const path = join(directory, 'file');
  const file = openSync(path, 'w');
  const zeros = Buffer.alloc(MiB);
  for (let at = 0; at < PREPARED_BYTES; at += MiB) writeSync(file, zeros, 0, MiB, at);
  fdatasyncSync(file);
  const data = Buffer.alloc(bytes, 7);
  const times = [];
  const endMs = performance.now() + SYNC_SECONDS * 1000;
  for (let at = 0; performance.now() < endMs; at = (at + bytes) % (PREPARED_BYTES - bytes)) {
    const startMs = performance.now();
    writeSync(file, data, 0, bytes, at);
    fdatasyncSync(file);
    times.push(performance.now() - startMs);
  }
  closeSync(file);
  rmSync(path);
  return times.sort((a, b) => a - b)[times.length >> 1];
}

function copyRate() {
  const [from, to] = [Buffer.alloc(COPY.bytes, 1), Buffer.alloc(COPY.bytes)];
  const startMs = performance.now();
  let bytes = 0;
  let elapsedMs = 0;
  while (elapsedMs < COPY.seconds * 1000) {
    from.copy(to);
    bytes += COPY.bytes;
    elapsedMs = performance.now() - startMs;
  }
  return bytes / 1e6 / elapsedMs;
}

function later(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
