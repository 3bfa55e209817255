/** Figures and times as people read them. */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A whole number with separators: 12,345. */
export const count = (value: number): string => grouped.format(value);

/** A number in a small space: 12, 12.3k, 4.5M. */
export function short(value: number): string {
  if (value < 10_000) return count(value);
  return value < 1_000_000 ? `${trim(value / 1_000)}k` : `${trim(value / 1_000_000)}M`;
}

/** A rate per second: 0, 0.4, 12, 1,250. */
export const rate = (value: number): string => (value < 10 ? trim(value) : count(value));

/** A duration given in milliseconds, in the unit that suits it: 480 µs, 12 ms, 2.31 s, 4 min. */
export function duration(ms: number): string {
  if (ms === 0) return '0';
  if (ms < 1) return `${Math.round(ms * 1_000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

/** The time of day with milliseconds: 14:03:07.120. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** The part of a long id that tells it from its neighbours: the beginning of a random one, the end of a number. */
export function brief(id: string): string {
  if (/^[0-9a-f]{8}-/.test(id)) return id.slice(0, 8);
  return /^\d{9,}$/.test(id) ? `…${id.slice(-5)}` : id;
}

/** "1 worker", "2 workers". */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** A share of one as a percentage: 0.125 is 12.5 %. */
export const percent = (share: number): string => `${trim(share * 100)} %`;

const trim = (value: number): string => value.toFixed(value < 100 ? 1 : 0).replace(/\.0$/, '');
