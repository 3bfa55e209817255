/** The charts: what each shows, out of the samples. */
import { Chart } from '../../charts/chart.tsx';
import { figures, samples, settings } from '../../state/store.ts';
import { count, duration, rate } from '../../ui/format.ts';
import type { IdleExpectation, Sample } from '../../wire.ts';

interface Props {
  small?: boolean;
}

/** Seconds that a small chart has room for. */
const SHORT = 90;

const shown = (small: boolean | undefined): readonly Sample[] => (small ? samples.value.slice(-SHORT) : samples.value);
/** Without a delay the expectation is zero, and says nothing about the work itself. */
const withDelay = (expected: IdleExpectation | null | undefined) =>
  expected && expected.messageP99Ms > 0 ? expected : undefined;
const times = (list: readonly Sample[]): number[] => list.map(({ at }) => at / 1_000);
const milliseconds = (us: number | undefined): number | null => (us === undefined ? null : us / 1_000);
const perSecond = (value: number): string => `${rate(value)}/s`;

/** Messages that ended each second, by outcome, and how many the deployment could do. */
export function ThroughputChart({ small }: Props) {
  const list = shown(small);
  const capacity = figures.value?.capacityPerS;
  return (
    <Chart
      title="Throughput"
      format={perSecond}
      small={small}
      whole
      times={times(list)}
      curves={[
        { label: 'responses', colour: 'response', values: list.map((sample) => sample.responsesPerS) },
        { label: 'errors', colour: 'error', dash: [6, 3], values: list.map((sample) => sample.errorsPerS) },
        { label: 'timeouts', colour: 'timeout', dash: [2, 3], values: list.map((sample) => sample.timeoutsPerS) },
      ]}
      band={capacity ? { label: 'capacity', low: capacity, high: capacity } : undefined}
    />
  );
}

/** How long messages took, before what they are expected to take where only one request is under way. */
export function LatencyChart({ small }: Props) {
  const list = shown(small);
  const expected = withDelay(settings.value?.expected);
  return (
    <Chart
      title="Latency"
      format={duration}
      small={small}
      times={times(list)}
      curves={[
        { label: 'p50', colour: 'response', values: list.map((sample) => milliseconds(sample.p50Us)) },
        { label: 'p95', colour: 'curve-2', dash: [6, 3], values: list.map((sample) => milliseconds(sample.p95Us)) },
        { label: 'p99', colour: 'curve-3', dash: [2, 3], values: list.map((sample) => milliseconds(sample.p99Us)) },
      ]}
      band={
        expected ? { label: 'expected p50–p99', low: expected.messageP50Ms, high: expected.messageP99Ms } : undefined
      }
    />
  );
}

/** Messages sent and not yet ended. */
export function InFlightChart() {
  const list = samples.value;
  const curves = [{ label: 'in flight', colour: 'response', values: list.map((sample) => sample.inFlight) }];
  return <Chart title="In flight" format={count} whole times={times(list)} curves={curves} />;
}

/** Messages waiting for a worker, in all queues. */
export function QueueChart() {
  const list = samples.value;
  const curves = [{ label: 'queued', colour: 'curve-3', values: list.map((sample) => sample.queue) }];
  return <Chart title="Queue depth" format={count} whole times={times(list)} curves={curves} />;
}
