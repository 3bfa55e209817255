/** Where a value is on an axis, and which values an axis names. */
import { bisectLeft, bisectRight, nice, range, sort, ticks } from 'd3-array';

export interface Scale {
  /** From 0 at the beginning of the axis to 1 at its end. */
  at: (value: number) => number;
  /** What the axis names, in ascending order. */
  ticks: number[];
}

/** Where a value is between two: 0 at `from`, 1 at `to`. */
export const byDistance =
  (from: number, to: number) =>
  (value: number): number =>
    (value - from) / (to - from);

/** The same where equal distances are equal ratios; all values have to be above 0. */
export const byRatio =
  (from: number, to: number) =>
  (value: number): number =>
    Math.log(value / from) / Math.log(to / from);

/** An axis of even steps, from `low` or a little before it to a little after `high`. */
export function linear(low: number, high: number, count = 5): Scale {
  const [from, to] = nice(low, high > low ? high : low + Math.max(1, Math.abs(low)), count);
  return { at: byDistance(from, to), ticks: ticks(from, to, count) };
}

/** An axis of ratios, for values that are far apart. It begins and ends at values people count in. */
export function logarithmic(low: number, high: number): Scale {
  const steps = high / low > 10_000 ? [1] : [1, 2, 5];
  const powers = range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
  const all = powers.flatMap((power) => steps.map((step) => Number(`${step}e${power}`)));
  const named = all.slice(Math.max(0, bisectRight(all, low) - 1), bisectLeft(all, high) + 1);
  return { at: byRatio(named.at(0) ?? low, named.at(-1) ?? high), ticks: named };
}

/** The axis that suits figures above 0: of ratios where they are far apart. */
export function suited(values: number[]): Scale {
  const known = values.filter((value) => Number.isFinite(value));
  const [low, high] = [Math.min(...known), Math.max(0, ...known)];
  return low > 0 && high / low > 20 ? logarithmic(low, high) : linear(0, high);
}

/** Room between the ends of an axis and the levels at them, as a share of it. */
const MARGIN = 0.04;

/** An axis for levels that were chosen: it names just those. Far apart, they are at distances of their ratios. */
export function chosen(levels: number[]): Scale {
  const sorted = sort(new Set(levels));
  const [low, high] = [sorted.at(0) ?? 0, sorted.at(-1) ?? 1];
  if (low === high) return { at: () => 0.5, ticks: sorted };
  const at = low > 0 && high / low > 64 ? byRatio(low, high) : byDistance(low, high);
  return { at: (value) => MARGIN + at(value) * (1 - 2 * MARGIN), ticks: sorted };
}

/** Ratios around 1: half as far to the one side as twice to the other. `reach` is above 1. */
export const symmetric = (reach: number): Scale => ({
  at: byRatio(1 / reach, reach),
  ticks: [1 / reach, 1, reach],
});

/** The axis of latency's tail: each 9 takes as much room as the one before, down to one in `requests`. */
export function nines(requests: number): Scale {
  const rarest = 1 / Math.max(100, requests);
  const at = byRatio(1, rarest);
  const most = Math.min(6, Math.floor(-Math.log10(rarest) + 1e-9));
  return { at: (share) => at(Math.max(1 - share, rarest)), ticks: range(most + 1).map((count) => 1 - 10 ** -count) };
}

/** A tick in words: as round as it is, without zeros behind the point. */
export const roundly = (said: string): string => said.replace(/\.0+(?!\d)/, '');

/** The ticks that there is room for: of those too near to one already named, none. */
export function roomy(scale: Scale, length: number, space: number): number[] {
  let last = -Infinity;
  return scale.ticks.filter((tick) => {
    const at = scale.at(tick) * length;
    if (at - last < space) return false;
    last = at;
    return true;
  });
}
