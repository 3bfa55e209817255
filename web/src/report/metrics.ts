/** The figures by name: what they are called, how they are written, which direction is better. */
import { duration, percent, rate } from '../ui/format.ts';
import type { Estimate, Metric, Ratio } from '../wire.ts';

interface MetricText {
  label: string;
  say: (value: number) => string;
  better: 'higher' | 'lower';
}

const perSecond = (value: number): string => `${rate(value)}/s`;

/** Bytes in the unit that suits them. */
export function bytes(value: number): string {
  if (value < 1e6) return `${Math.round(value / 1e3)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(value < 1e8 ? 1 : 0)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}

const latency = (label: string): MetricText => ({ label, say: duration, better: 'lower' });

export const METRICS: Record<Metric, MetricText> = {
  requestsPerS: { label: 'requests/s', say: perSecond, better: 'higher' },
  messagesPerS: { label: 'messages/s', say: perSecond, better: 'higher' },
  mean: latency('mean'),
  p50: latency('p50'),
  p90: latency('p90'),
  p95: latency('p95'),
  p99: latency('p99'),
  p999: latency('p99.9'),
  max: latency('max'),
  cpu: { label: 'CPU per message', say: (us) => duration(us / 1_000), better: 'lower' },
  memory: { label: 'memory', say: bytes, better: 'lower' },
  errors: { label: 'failed', say: percent, better: 'lower' },
};

/** A ratio as people read it: 0.64×, 12×; three digits where it is near 1. */
export function times(ratio: number): string {
  const digits = ratio >= 0.95 && ratio <= 1.05 && ratio !== 1 ? 3 : ratio < 10 ? 2 : ratio < 100 ? 1 : 0;
  return `${ratio === 0 ? 0 : ratio.toFixed(digits)}×`;
}

/** A ratio; reports of earlier versions have a median. */
export const valueOf = ({ ratio, median }: Partial<Pick<Ratio, 'ratio'> & Pick<Estimate, 'median'>>): number => ratio ?? median ?? 1;

/** What a ratio says: better, worse, or nothing that chance does not explain. */
export function verdict(metric: Metric, { verdict: found }: Pick<Ratio, 'verdict'>): 'better' | 'worse' | 'same' {
  if (found !== 'higher' && found !== 'lower') return 'same';
  return found === METRICS[metric].better ? 'better' : 'worse';
}

/** Half of an interval as a share of its median; undefined where it can't be seen. */
export function spread({ median, low, high, count }: Estimate): number | undefined {
  const half = median > 0 ? (high - low) / 2 / median : 0;
  return count > 1 && half >= 0.005 ? half : undefined;
}
