/** Faults in words. */
import { duration, percent } from '../../ui/format.ts';
import type { InstanceView } from '../../wire.ts';

/** What is wrong with an instance on purpose, in a few words. */
export function describeFaults({ faults, stalled }: Pick<InstanceView, 'faults' | 'stalled'>): string {
  const parts = [
    faults && faults.errorRate > 0 && `${percent(faults.errorRate)} of replies are errors`,
    faults && faults.extraLatencyMs > 0 && `${duration(faults.extraLatencyMs)} slower`,
    faults?.failing && 'answers healthy but fails',
    stalled && `worker ${stalled.join(', ')} stalls`,
  ];
  return parts.filter(Boolean).join('; ');
}
