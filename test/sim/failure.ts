import type { RunReport } from './report.js';
import type { Scenario } from './scenario.js';
import { shrink } from './shrink.js';
import { run } from './simulation.js';

/** The command that runs a scenario again: it is all in there. */
export function commandOf(scenario: Scenario): string {
  return `npm run sim -- --scenario '${JSON.stringify(scenario)}'`;
}

/** What was done to the cluster, for people. */
export function tellScenario({
  nodes,
  groups,
  clients,
  reads,
  links,
  faults,
  operations,
}: Scenario): string[] {
  const rates = nodes.map(({ clockRate }) => clockRate.toFixed(2)).join(' ');
  const joiners = nodes.filter(({ joins }) => joins).length;
  const those = joiners === 0 ? '' : `, the last ${joiners} no members at first`;
  const worst = Object.entries(links).map(([kind, rate]) => `${kind} ${rate}`);
  const kinds = clients.map(({ kind }) => kind).join(', ');
  return [
    `${nodes.length} nodes (clocks ${rates})${those}, ${groups.length} groups, reads by ${reads}, links ${worst.length === 0 ? 'good' : `with at most ${worst.join(', ')}`}, clients: ${kinds}; faults until ${operations} operations are acknowledged:`,
    ...faults.map(({ atMs, kind, forMs }) => `  at ${atMs} ms ${kind} for ${forMs} ms`),
  ];
}

/** A failing run made as small as it gets: its last steps with all messages, the scenario, and the command that shows it again. */
export async function tellShrunk(report: RunReport): Promise<string> {
  const { scenario, runs } = await shrink(report.scenario, report, run);
  const { trace, failure } = await run(scenario, true);
  const before = report.scenario;
  return [
    ...trace,
    '',
    `shrunk in ${runs} runs from ${before.faults.length} faults, ${before.clients.length} clients and ${report.steps} events:`,
    ...tellScenario(scenario),
    `FAILED: ${failure}`,
    `again, as small: ${commandOf(scenario)}`,
  ].join('\n');
}
