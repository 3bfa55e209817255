/** Messages a second through each instance, from the differences between its snapshots. */
import type { Event, Topology } from '../wire.ts';

/** Messages a second, by instance id. */
export type Rates = Readonly<Record<string, number>>;

/** Share of a new figure in the shown one: enough to follow within a second, without flicker. */
const FRESH = 0.5;

/** Below this a rate is nothing: the tail of the smoothing. */
const NEGLIGIBLE = 0.05;

/** Takes in the snapshots among the events; `before` is the topology before these events. */
export function foldRates(rates: Rates, before: Topology, events: readonly Event[]): Rates {
  let next: Record<string, number> | undefined;
  for (const event of events) {
    if (event.type === 'instance-gone') {
      next ??= { ...rates };
      delete next[event.id];
    }
    if (event.type !== 'instance') continue;
    const { instance, at, ledger } = event.snapshot;
    const last = before.instances[instance.id];
    if (!last || at <= last.at) continue;
    const measured = (Math.max(0, ledger.sent - last.ledger.sent) * 1_000) / (at - last.at);
    const old = (next ?? rates)[instance.id] ?? 0;
    const smooth = old + (measured - old) * FRESH;
    const rate = smooth < NEGLIGIBLE ? 0 : smooth;
    if (rate === old) continue;
    next ??= { ...rates };
    next[instance.id] = rate;
  }
  return next ?? rates;
}
