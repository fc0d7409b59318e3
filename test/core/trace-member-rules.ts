import type { TraceState } from '../../src/core/trace-event.js';
import type { TracedStep } from './trace-rules.js';

/** Entries that a learner may lack when it is made a voter. */
const GAP_MAX = 1024;

/** What each member must do by itself with configurations. */
export function memberRules(step: TracedStep): void {
  const { event, before, life, fault } = step;
  const { state, orders } = event;
  const { index } = state.configuration;
  const newest = life.configurations.at(-1);
  if (newest !== undefined && newest.index !== index)
    fault(`H56 H59 H51: the newest configuration stands at ${newest.index}, in force is the one at ${index}`);
  for (const order of orders) {
    if (order.type === 'append' && order.configuration !== undefined) proposed(step);
  }
  if (state.role !== 'leader' || state.commitTerm !== state.term) return;
  if (index <= state.commitIndex && isJoint(state))
    fault('H57: a joint configuration is committed, and not left');
  if (event.door !== 'configure') return;
  const added = state.configuration.voters.filter((id) => !before.configuration.voters.includes(id));
  for (const id of added) {
    const match = before.match[id] ?? 0;
    if (before.lastIndex - match > GAP_MAX) fault(`H62: node ${id} votes, and is far behind`);
    if (match < before.configuration.index)
      fault(`H62: node ${id} votes, and does not know yet that it is a member`);
  }
}

const isJoint = ({ configuration }: TraceState): boolean => configuration.votersOutgoing.length > 0;

/** A leader changes members: one step at a time, and after the first commit of its own. */
function proposed({ event, before, fault }: TracedStep): void {
  const { state } = event;
  const { voters, votersOutgoing } = state.configuration;
  if (state.commitTerm !== state.term) fault('H55: members change before anything of this term is committed');
  if (before.configuration.index > state.commitIndex)
    fault('H63: members change while a change is under way');
  const same = (a: readonly number[], b: readonly number[]) =>
    a.length === b.length && a.every((id) => b.includes(id));
  if (isJoint(before)) {
    if (votersOutgoing.length > 0 || !same(voters, before.configuration.voters))
      fault('H63: a joint configuration is left for another one than its own');
  } else if (
    !same(votersOutgoing, before.configuration.voters) &&
    !same(voters, before.configuration.voters)
  ) {
    fault('H55: voters change without a joint configuration');
  }
}
