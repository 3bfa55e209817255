/** Figures and times as people read them. */

const grouped = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });

/** A whole number with separators: 12,345. */
export const count = (value: number): string => grouped.format(value);

/** A number in a small space: 12, 12.3k, 4.5M. */
export function short(value: number): string {
  if (value < 10_000) return count(value);
  const thousands = trim(value / 1_000);
  // 999,960 rounds to 1000k, which is 1M.
  return Number(thousands) < 1_000 ? `${thousands}k` : `${trim(value / 1_000_000)}M`;
}

/** A rate per second: 0, 0.04, 0.4, 12, 1,250. */
export const rate = (value: number): string => (value < 10 ? small(value) : count(value));

/** A duration given in milliseconds, in the units that suit it: 480 µs, 12 ms, 2.31 s, 1 min 40 s, 2 h 30 min, 3 d. */
export function duration(ms: number): string {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return '0';
  // Each limit is where the figure, as it is rounded, would reach the next unit.
  if (Math.round(ms * 1_000) < 1_000) return `${Math.round(ms * 1_000)} µs`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 99_950) return `${(ms / 1_000).toFixed(1)} s`;
  const [seconds, minutes, hours] = [1_000, 60_000, 3_600_000].map((unit) => Math.round(ms / unit)) as [number, number, number];
  if (seconds < 600) return inTwo(seconds, 60, 'min', 's');
  if (minutes < 120) return `${minutes} min`;
  return hours < 48 ? inTwo(minutes, 60, 'h', 'min') : inTwo(hours, 24, 'd', 'h');
}

/** A whole number of the smaller unit, in both. */
function inTwo(value: number, each: number, large: string, less: string): string {
  const rest = value % each;
  return `${Math.floor(value / each)} ${large}${rest > 0 ? ` ${rest} ${less}` : ''}`;
}

const timeOfDay = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const inFull = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
const toTheMinute = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/** The time of day to the second: 14:03:07. */
export const time = (at: number): string => timeOfDay.format(at);

/** The time of day with milliseconds: 14:03:07.120. */
export const clock = (at: number): string => `${time(at)}.${String(new Date(at).getMilliseconds()).padStart(3, '0')}`;

/** A moment in full, with its time zone: 26 Nov 2026, 14:03:07 UTC. */
export const dateTime = (at: number): string => inFull.format(at);

/** A moment of another day, to the minute: 26 Nov 2026, 14:03. */
export const when = (at: number): string => toTheMinute.format(at);

/** The part of a long id that tells it from its neighbours: the beginning of a random one, the end of a number. */
export function brief(id: string): string {
  if (/^[0-9a-f]{8}-/.test(id)) return id.slice(0, 8);
  return /^\d{9,}$/.test(id) ? `…${id.slice(-5)}` : id;
}

/** "1 worker", "2 workers". */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** A share of one as a percentage: 0.125 is 12.5 %, 0.0004 is 0.04 %. What is not all is never 100 %. */
export function percent(share: number): string {
  const hundredths = share * 100;
  if (hundredths > 99.94 && hundredths < 100) return '>99.9 %';
  return `${small(hundredths)} %`;
}

/** A digit after the point; of less than that, the first digit that is not zero. */
const small = (value: number): string =>
  value > 0 && value < 0.05 ? String(Number(value.toPrecision(1))) : trim(value);

const trim = (value: number): string => value.toFixed(value < 100 ? 1 : 0).replace(/\.0$/, '');
