import type { TraceEvent } from '../core/trace-event.js';
import type { Clock } from './clock.js';
import type { TraceSink } from './options.js';

/** A sink that throws is told of nothing more: what it throws must not reach the core, and a trace with gaps is of no use. */
export function traceInto(
  sink: TraceSink,
  clock: Clock,
  failed: (message: string) => void,
): (event: TraceEvent) => void {
  let broken = false;
  return (event) => {
    if (broken) return;
    try {
      sink({ timeMs: clock.wallMs(), ...event });
    } catch (thrown) {
      broken = true;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      // Told after the step: the engine may not even be listened to yet.
      clock.soon(() => failed(`the trace ends here, its sink failed: ${reason}`));
    }
  };
}
