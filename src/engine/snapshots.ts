import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, OrderId, Term } from '../base/ids.js';
import type { ConfigurationAt } from '../base/messages.js';
import { encodeConfiguration } from '../codec/configuration.js';
import type { RecoveredState } from '../core/options.js';
import type { LocalMessage, Order, Ready } from '../core/ready.js';
import type { Applier } from './applier.js';
import type { Hub } from './hub.js';
import type {
  Snapshot,
  SnapshotEnd,
  SnapshotEvent,
  SnapshotMachine,
  SnapshotSettings,
} from './snapshot-store.js';

/** A place where a log may begin. */
interface Border extends SnapshotEnd {
  configuration: ConfigurationAt;
}

export interface SnapshotsParts {
  group: GroupId;
  settings: SnapshotSettings;
  hub: Hub;
  applier: Applier;
  step: (message: LocalMessage) => void;
  termAt: (index: LogIndex) => Term | undefined;
  durableIndex: () => LogIndex;
  /** Where the recovered log begins. */
  base: LogIndex;
}

/**
 * The snapshot that a restart goes on from: the newest one that ends within the recovered log, or right before it. One that was
 * received but not yet taken into the log does not fit, unless the log holds its last entry anyway.
 * @throws RaftlineError `RAFTLINE_LOG_DAMAGED` where the log begins behind a snapshot that is not there
 */
export function snapshotToStartFrom(
  group: GroupId,
  settings: SnapshotSettings | undefined,
  recovered: RecoveredState,
): Snapshot | undefined {
  const fits = ({ index, term }: SnapshotEnd) => termIn(recovered, index) === term;
  const found = settings?.store.load(group, fits);
  if (found === undefined && recovered.base.index > 0) {
    const { index } = recovered.base;
    const message = `group ${group}: the log begins behind index ${index}, and there is no snapshot up to there`;
    throw new RaftlineError(ErrorCode.LogDamaged, message, { group, index });
  }
  return found;
}

function termIn({ base, termRuns, lastIndex }: RecoveredState, index: LogIndex): Term | undefined {
  if (index === base.index) return base.term;
  if (index < base.index || index > lastIndex) return undefined;
  return termRuns.findLast((run) => run.firstIndex <= index)?.term;
}

/**
 * The snapshots of one group: takes them, lets the log begin behind them, sends them to followers that are too far behind, and
 * takes in what a leader sent. In each case what is given up is given up last: the log after the snapshot is on disk (H49), the
 * state machine's old state after the new one is known to be part of the log.
 */
export class Snapshots {
  readonly #parts: SnapshotsParts;
  /** The group's log begins behind it, as ordered. */
  #base: LogIndex;
  /** Where the newest snapshot ends that was begun; a failed one is tried again only after as many entries. */
  #begun: LogIndex;
  #saving: Border | undefined;
  /** Where own snapshots on disk end, above the base, ascending. */
  #borders: Border[] = [];
  /** Received, part of the log by decision, and not yet the state machine's state. */
  #installing: Snapshot | undefined;

  constructor(parts: SnapshotsParts, start: Snapshot | undefined) {
    this.#parts = parts;
    this.#base = parts.base;
    this.#begun = 0;
    if (start !== undefined) this.#restore(start);
  }

  /** Until then nothing is to be read back for the state machine: what it needs next is in no log. */
  get installing(): boolean {
    return this.#installing !== undefined;
  }

  /** What the store has to tell. */
  take(event: SnapshotEvent): void {
    const { step } = this.#parts;
    switch (event.type) {
      case 'saved':
        this.#saved(event.index, event.ok);
        break;
      case 'sent': {
        // A snapshot that was sent is no credit: the follower is asked in a new session where it stands.
        const { peer, index, ok } = event;
        step({ type: 'snapshotResult', peer, index, ok });
        break;
      }
      case 'chunk':
        step({ type: 'snapshotChunk', from: event.from, term: event.term });
        break;
      case 'received':
        this.#received(event.snapshot);
        break;
    }
  }

  /** A follower needs what is no longer in the log. */
  send({ peer, term, index }: Ready['snapshots'][number]): void {
    const { group, settings } = this.#parts;
    settings.store.send(group, peer, term, index);
  }

  /** The core takes a received snapshot: the log begins behind it. */
  order(order: Extract<Order, { type: 'snapshot' }>, global: OrderId): void {
    const { index, term, configuration, keepsSuffix } = order;
    this.#beginBehind(global, { index, term, configuration }, keepsSuffix);
  }

  /** One is to be taken as soon as the state machine is between two batches. */
  get isDue(): boolean {
    const { applier, settings } = this.#parts;
    return this.#saving === undefined && applier.applied - this.#begun >= settings.everyEntries;
  }

  /** Between two batches: goes on from an installed snapshot, or takes one if it is time. */
  afterApply(): void {
    const { applier, durableIndex } = this.#parts;
    const installing = this.#installing;
    if (installing !== undefined) {
      // Only what is on this node's own disk may be applied, and the mark is what makes it so.
      if (durableIndex() < installing.index) return;
      this.#installing = undefined;
      this.#restore(installing);
    } else if (this.isDue && applier.reached === applier.applied) this.#save();
  }

  #save(): void {
    const { group, applier, settings, termAt } = this.#parts;
    const { applied: index, configuration } = applier;
    const term = termAt(index);
    assert(term !== undefined && configuration !== undefined, 'what was applied last is in the log');
    this.#begun = index;
    this.#saving = { index, term, configuration };
    const sessions = applier.sessionRecords();
    const state = this.#machine.takeSnapshot();
    settings.store.save(group, { index, term, configuration, sessions, state });
  }

  /** It is on disk: older ones go, and so may the log up to some entries before it. */
  #saved(index: LogIndex, ok: boolean): void {
    const { group, settings, step, hub } = this.#parts;
    const border = this.#saving;
    assert(border?.index === index, 'the snapshot that was saved is the one that was asked for');
    this.#saving = undefined;
    if (!ok || index <= this.#base) return;
    settings.store.forgetBefore(group, index);
    this.#borders.push(border);
    const start = this.#borders.findLast((each) => each.index <= index - settings.keepEntries);
    if (start === undefined) return;
    // The core first: sessions to followers that need what goes are closed before it is gone (H48).
    step({ type: 'compacted', index: start.index });
    this.#beginBehind(hub.nextOrder(), start, true);
    hub.wake();
  }

  #received(snapshot: Snapshot): void {
    const { index, term, configuration } = snapshot;
    const before = this.#base;
    this.#parts.step({ type: 'snapshotReceived', index, term, configuration });
    // Passed over where the log has come as far by itself; a newer one takes the place of one that is still waiting (H46).
    if (this.#base > before) this.#installing = snapshot;
  }

  #beginBehind(order: OrderId, { index, term, configuration }: Border, keepsSuffix: boolean): void {
    const { group, hub } = this.#parts;
    this.#base = index;
    this.#borders = this.#borders.filter((border) => border.index > index);
    hub.order({
      type: 'snapshot',
      order,
      group,
      index,
      term,
      keepsSuffix: keepsSuffix ? 1 : 0,
      configurationIndex: configuration.index,
      configurationTerm: configuration.term,
      body: encodeConfiguration(configuration.configuration),
    });
  }

  #restore(snapshot: Snapshot): void {
    const { group, applier, settings } = this.#parts;
    applier.restore(snapshot, () => this.#machine.restoreSnapshot(snapshot.state));
    this.#begun = Math.max(this.#begun, snapshot.index);
    settings.store.forgetBefore(group, snapshot.index);
  }

  get #machine(): SnapshotMachine {
    return this.#parts.settings.machine(this.#parts.group);
  }
}
