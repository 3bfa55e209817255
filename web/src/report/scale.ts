/** Where a value is on an axis, and which values an axis names. */

export interface Scale {
  /** From 0 at the beginning of the axis to 1 at its end. */
  at: (value: number) => number;
  ticks: number[];
}

/** Steps that people count in. */
function step(span: number, ticks: number): number {
  const rough = span / Math.max(1, ticks);
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10;
  return factor * power;
}

/** An axis of even steps, from `low` or a little before it to a little after `high`. */
export function linear(low: number, high: number, ticks = 5): Scale {
  const top = high > low ? high : low + Math.max(1, Math.abs(low));
  const by = step(top - low, ticks);
  const [from, to] = [Math.floor(low / by + 1e-9), Math.ceil(top / by - 1e-9)];
  return {
    at: (value) => (value / by - from) / (to - from),
    ticks: Array.from({ length: to - from + 1 }, (_, index) => Number(((from + index) * by).toPrecision(12))),
  };
}

/** An axis on which equal distances are equal ratios; values have to be above 0. */
export function logarithmic(low: number, high: number): Scale {
  const decades = Math.log10(high / low);
  const inDecade = decades > 4 ? [1] : decades > 1.3 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power += 1)
    for (const one of inDecade) ticks.push(Number((one * 10 ** power).toPrecision(12)));
  const from = ticks.findLast((tick) => tick <= low * 1.0001) ?? low;
  const to = ticks.find((tick) => tick >= high * 0.9999) ?? high;
  const length = Math.log(to / from) || 1;
  return {
    at: (value) => Math.log(value / from) / length,
    ticks: ticks.filter((tick) => tick >= from && tick <= to),
  };
}

/** An axis for levels that were chosen: it names just those. Far apart, they are at distances of their ratios. */
export function chosen(levels: number[]): Scale {
  const sorted = [...new Set(levels)].sort((a, b) => a - b);
  const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 1];
  const isWide = low > 0 && high / low > 64;
  const margin = 0.04;
  const within = (share: number): number => margin + share * (1 - 2 * margin);
  if (high === low) return { at: () => 0.5, ticks: sorted };
  const at = isWide
    ? (value: number) => within(Math.log(value / low) / Math.log(high / low))
    : (value: number) => within((value - low) / (high - low));
  return { at, ticks: sorted };
}

/** The axis of latency's tail: each 9 takes as much room as the one before. */
export function nines(mostRequests: number): Scale {
  const length = Math.max(2, Math.log10(Math.max(1, mostRequests)));
  const ticks = [0, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
  return {
    at: (share) => Math.min(1, -Math.log10(Math.max(1 - share, 10 ** -length)) / length),
    ticks: ticks.filter((share) => share === 0 || -Math.log10(1 - share) <= length + 1e-9),
  };
}

/** The axis that suits figures above 0: of ratios where they are far apart. */
export function suited(values: number[]): Scale {
  const known = values.filter((value) => Number.isFinite(value));
  const positive = known.filter((value) => value > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  if (positive.length === 0) return linear(0, 1);
  return positive.length === known.length && high / low > 20 ? logarithmic(low, high) : linear(0, high);
}

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
