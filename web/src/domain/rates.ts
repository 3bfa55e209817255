/** Messages a second through each instance, from the counts of its snapshots. */
import type { InstanceView, Topology } from '../wire.ts';

/** The latest measurement of one instance. */
export interface Measured {
  /** Messages a second. */
  perS: number;
  /** What the instance had sent at `at`: where the next measurement begins. */
  sent: number;
  /** By the instance's own clock, in milliseconds: since its start, or since the epoch from versions that send no uptime. */
  at: number;
}

/** Measurements by instance id. */
export type Rates = Readonly<Record<string, Measured>>;

/** Over less time than this a few messages would be a high rate; instances send their state twice a second. */
const SHORTEST_MS = 400;

/** Share of a new figure in the shown one: it follows within a second, without flicker. */
const FRESH = 0.5;

/** Below this a rate is shown as zero: the rest of the smoothing. */
const NEGLIGIBLE = 0.05;

/** Measures the instances whose snapshots are new; those that are gone or unknown have no rate. */
export function foldRates(rates: Rates, { instances }: Topology): Rates {
  let hasChanged = false;
  const next: Record<string, Measured> = {};
  for (const id in instances) {
    const view = instances[id];
    if (!view || view.state === 'gone') continue;
    const last = rates[id];
    const measured = measure(view, last);
    hasChanged ||= measured !== last;
    next[id] = measured;
  }
  return hasChanged || Object.keys(rates).length !== Object.keys(next).length ? next : rates;
}

function measure({ uptimeMs, at: wall, ledger: { sent } }: InstanceView, last: Measured | undefined): Measured {
  const at = uptimeMs ?? wall;
  // Counts fall and clocks go back only where another process has taken the id.
  if (!last || at < last.at || sent < last.sent) return { perS: 0, sent, at };
  if (at - last.at < SHORTEST_MS) return last;
  const fresh = ((sent - last.sent) * 1_000) / (at - last.at);
  const isFirst = last.perS === 0;
  const smooth = isFirst ? fresh : last.perS + (fresh - last.perS) * FRESH;
  return { perS: smooth < NEGLIGIBLE ? 0 : smooth, sent, at };
}

/** Messages a second through an instance; zero while nothing is measured. */
export const rateOf = (rates: Rates, id: string): number => rates[id]?.perS ?? 0;
