import type { MessagePort } from 'node:worker_threads';
import { ErrorCode, type PlainError, RaftlineError, toRaftlineError } from '../base/errors.js';
import { type Lz4Implementations, loadCompression } from '../codec/compression.js';
import { Compressor } from '../codec/compressor.js';
import { RingConsumer } from '../ring/consumer.js';
import type { Gate } from '../ring/gate.js';
import { RingProducer } from '../ring/producer.js';
import { insecureRefused, isLoopback, parseAddress } from '../transport/address.js';
import { probe } from '../transport/bind-probe.js';
import { GrpcTransport } from '../transport/grpc.js';
import type { SharedQueue } from '../transport/transport.js';
import { lockDirectory } from '../wal/lock.js';
import { RealDisk } from '../wal/real-disk.js';
import { prepareSegment as prepare, type SegmentOptions } from '../wal/segment.js';
import type { RecoveredGroup, Wal } from '../wal/wal.js';
import { after, afterEvents, every, nowMs, pause } from './clock.js';
import { Encoder } from './encoder.js';
import {
  cursorOf,
  durableTeller,
  type EngineMemory,
  encoderCountersOf,
  encoderGatesOf,
  gateOf,
} from './memory.js';
import { Network } from './network.js';
import { type Program, SLEEP_MS, sleepMsOf } from './program.js';
import { ENCODER_NAMES, type ProgramName, type StoreFacts, type WorkerSettings } from './settings.js';
import { openStore } from './store.js';
import { WalWriter } from './wal-writer.js';

/** A resident task: the programs of one thread, until `stop`. */
export interface ThreadTask {
  programs: readonly ProgramName[];
  memory: EngineMemory;
  settings: WorkerSettings;
  /** Present for threads that start after the store was opened. */
  facts?: StoreFacts;
  /** One message goes out on it: a ThreadReady. */
  port: MessagePort;
}

/** What a thread says once it has started. Exactly the parts that its programs have. */
export interface ThreadReady {
  store?: { recovered: Map<number, RecoveredGroup>; facts: StoreFacts };
  network?: { port: number; lz4: Lz4Implementations };
}

/** How a thread ended; errors cross the border as plain objects. */
export interface ThreadExit {
  error?: PlainError;
}

const BLOCKING_SLEEP_MS = 500;
/** How long closed connections may take to be gone. */
const SOCKETS_CLOSE_MS = 2000;

/** Runs a thread's programs until main says stop, or one of them fails. */
export async function runThread(task: ThreadTask): Promise<ThreadExit> {
  try {
    if (task.programs.includes('wal-writer')) await runWalWriter(task);
    else await runEventLoop(task);
    return {};
  } catch (thrown) {
    return { error: toRaftlineError(thrown).toPlain() };
  } finally {
    task.port.close();
  }
}

/** A short independent job: the next segment, full of zeros, off the path of every write. */
export function prepareSegment(job: SegmentOptions): ThreadExit {
  try {
    prepare(new RealDisk(), job);
    return {};
  } catch (thrown) {
    return { error: toRaftlineError(thrown).toPlain() };
  }
}

async function runWalWriter(task: ThreadTask): Promise<void> {
  const { memory, settings, port } = task;
  const disk = new RealDisk();
  await checkAddresses(settings);
  makeDataDirectory(disk, settings.dataDirectory);
  const lock = await lockDirectory(settings.dataDirectory);
  try {
    const { wal, recovered, facts } = openStore(disk, settings, memory);
    const writer = new WalWriter({
      wal,
      orders: new RingConsumer(memory.rings.orders, 0),
      batches: new RingConsumer(memory.rings.batch, 0),
      moreBatches: memory.moreEncoders.map(({ ring }) => new RingConsumer(ring, 0)),
      received: new RingConsumer(memory.rings.receive, 0),
      durable: cursorOf(memory, 'durable'),
      report: reporter(memory),
      tell: durableTeller(memory),
      wake: waker(memory, ['main', 'network'], encoderGatesOf(memory)),
    });
    const ready: ThreadReady = { store: { recovered, facts } };
    port.postMessage(ready);
    loopBlocking(timed(writer, wal, memory), memory);
    writer.close();
  } finally {
    await lock.release();
  }
}

/** Before anything is written: a start that is refused must not have claimed the directory for what it was told. */
async function checkAddresses(settings: WorkerSettings): Promise<void> {
  for (const { address } of settings.peers) parseAddress(address);
  const listen = parseAddress(settings.listen);
  if (!settings.insecure && !isLoopback(listen.host)) throw insecureRefused(settings.listen);
  await probe(listen);
}

function makeDataDirectory(disk: RealDisk, path: string): void {
  try {
    disk.makeDirectory(path);
  } catch (thrown) {
    const { message } = toRaftlineError(thrown);
    const text = `data directory ${path}: cannot be made or used: ${message}`;
    throw new RaftlineError(ErrorCode.DirectoryInvalid, text, { path }, thrown);
  }
}

async function runEventLoop(task: ThreadTask): Promise<void> {
  const { memory, settings, port } = task;
  const programs: Program[] = [];
  const ready: ThreadReady = {};
  // The one on which this thread sleeps: only it can end that sleep from within.
  const encoder = ENCODER_NAMES.findIndex((name) => task.programs.includes(name));
  const gate = task.programs.includes('network')
    ? gateOf(memory, 'network')
    : encoderGatesOf(memory)[encoder]!;
  if (encoder >= 0) programs.push(makeEncoder(memory, settings, encoder));
  try {
    if (task.programs.includes('network')) {
      const queue: SharedQueue = { taken: 0, left: 0, bytesMax: settings.sendingBytesMax };
      const network = new Network(
        memory,
        settings,
        task.facts!,
        new RealDisk(),
        makeTransport(settings, queue),
        () => gate.kick(),
      );
      programs.push(network, tally(queue, memory));
      ready.network = { port: await network.listen(), lz4: network.lz4 };
    }
    port.postMessage(ready);
    await loop(programs, memory, gate);
  } finally {
    for (const program of programs) program.close();
    await socketsClosed();
  }
}

/**
 * The pool ends this thread by force once its task is done, and HTTP/2 data that arrives on a thread while it is being
 * ended aborts the whole process (an assertion of Node's stream code; seen on 20.20). So nothing may arrive any more.
 */
async function socketsClosed(): Promise<void> {
  const isOpen = (resource: string): boolean => /^(TCP|TLS|Pipe).*Wrap$/.test(resource);
  const giveUpMs = nowMs() + SOCKETS_CLOSE_MS;
  while (process.getActiveResourcesInfo().some(isOpen) && nowMs() < giveUpMs) await pause(2);
  await afterEvents();
}

function makeEncoder(memory: EngineMemory, settings: WorkerSettings, number: number): Encoder {
  const { rings, moreEncoders } = memory;
  const { consumer, ring } = number === 0 ? { consumer: 0, ring: rings.batch } : moreEncoders[number - 1]!;
  return new Encoder({
    share: { at: number, of: 1 + moreEncoders.length },
    proposals: new RingConsumer(rings.proposal, consumer),
    batches: new RingProducer(ring),
    compressor: makeCompressor(settings),
    counters: encoderCountersOf(memory, number),
    wake: waker(memory, ['wal', 'network']),
    wakeMain: waker(memory, ['main']),
  });
}

/** Which codec it is that is used main says batch by batch: the option, within what the configuration allows. */
function makeCompressor({ compression, lz4 }: WorkerSettings): Compressor | undefined {
  if (compression === 'none') return undefined;
  return new Compressor(loadCompression(lz4), compression === 'auto' ? 'sampled' : 'always');
}

function makeTransport(settings: WorkerSettings, queue: SharedQueue): GrpcTransport {
  return new GrpcTransport({
    messageBytesMax: settings.messageBytesMax,
    queuedBytesMax: settings.streamQueueBytes,
    queue,
    receiveWindowBytes: settings.receiveWindowBytes,
    insecure: settings.insecure,
  });
}

/** Tells what is queued to be sent: part of what the engine holds. */
function tally(queue: SharedQueue, memory: EngineMemory): Program {
  const taken = cursorOf(memory, 'sendingTaken');
  const left = cursorOf(memory, 'sendingLeft');
  const poll = (): boolean => {
    taken.store(queue.taken);
    left.store(queue.left);
    return false;
  };
  return { name: 'tally', poll, close() {} };
}

function waker(
  memory: EngineMemory,
  names: readonly (keyof EngineMemory['gates'])[],
  more: readonly Gate[] = [],
): () => void {
  const gates: Gate[] = [...names.map((name) => gateOf(memory, name)), ...more];
  return () => {
    for (const gate of gates) gate.notify();
  };
}

function reporter(memory: EngineMemory): (wal: Wal) => void {
  const flushes = cursorOf(memory, 'walFlushes');
  const syncs = cursorOf(memory, 'walSyncs');
  const bytes = cursorOf(memory, 'walBytes');
  const spareWanted = cursorOf(memory, 'spareWanted');
  /** Each time a spare segment comes to be wanted anew the cursor grows by one. */
  let wanted = false;
  let requests = 0;
  return (wal) => {
    flushes.store(wal.flushes);
    syncs.store(wal.syncs);
    bytes.store(wal.bytesWritten);
    const now = wal.wantsSpare();
    if (now && !wanted) spareWanted.store(++requests);
    wanted = now;
  };
}

/** Notes how long each flush takes: on the real disk one poll writes and, as the durability asks, syncs. */
function timed(writer: WalWriter, wal: Wal, memory: EngineMemory): Pick<Program, 'poll'> {
  const total = cursorOf(memory, 'walFlushUs');
  const longest = cursorOf(memory, 'walFlushUsMax');
  let totalUs = 0;
  let longestUs = 0;
  return {
    poll() {
      const { flushes } = wal;
      const startedMs = nowMs();
      const worked = writer.poll(startedMs);
      if (wal.flushes === flushes) return worked;
      const us = Math.round((nowMs() - startedMs) * 1000);
      totalUs += us;
      longestUs = Math.max(longestUs, us);
      total.store(totalUs);
      longest.store(longestUs);
      return worked;
    },
  };
}

function loopBlocking(program: Pick<Program, 'poll'>, memory: EngineMemory): void {
  const gate = gateOf(memory, 'wal');
  const stop = cursorOf(memory, 'stop');
  const look = () => program.poll(nowMs()) || stop.load() !== 0;
  while (stop.load() === 0) {
    if (!program.poll(nowMs())) gate.sleep(look, BLOCKING_SLEEP_MS);
  }
}

async function loop(programs: readonly Program[], memory: EngineMemory, gate: Gate): Promise<void> {
  const stop = cursorOf(memory, 'stop');
  // The gate is armed before each look: what comes while there is work costs its sender a wake-up that nobody needs, and each wake-up saves
  // a look at nothing.
  const look = (): boolean => {
    let worked = stop.load() !== 0;
    const now = nowMs();
    for (const program of programs) worked = program.poll(now) || worked;
    return worked;
  };
  const release = every(SLEEP_MS, () => gate.kick());
  const looksAgain = lookingAgain(programs, gate);
  try {
    while (stop.load() === 0) {
      const sleep = gate.sleepAsync(look);
      if (sleep !== undefined) looksAgain();
      await (sleep ?? afterEvents());
    }
  } finally {
    release();
  }
}

/** To be called before each sleep: kicks the gate when something is due, if that is before the loop's own look. */
function lookingAgain(programs: readonly Program[], gate: Gate): () => void {
  let pending = false;
  const schedule = (): void => {
    const now = nowMs();
    const ms = pending ? SLEEP_MS : sleepMsOf(programs, now);
    if (ms === SLEEP_MS) return;
    pending = true;
    after(Math.max(1, Math.ceil(ms)), () => {
      pending = false;
      // What was due may have been done meanwhile, and what came after it be due later.
      if (now + sleepMsOf(programs, now) <= nowMs()) gate.kick();
      else schedule();
    });
  };
  return schedule;
}
