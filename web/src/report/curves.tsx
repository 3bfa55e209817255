/** Throughput and latency over a numeric factor, and the knee. */
import { duration, rate } from '../format.ts';
import { METRICS, spread } from './metrics.ts';
import { chosen, linear, suited, type Scale } from './scale.ts';
import { cellName, layout, type Axis, type Panel } from './shape.ts';
import type { CellSummary, MetricName, Report } from './results.ts';
import { XyChart, type XyPoint, type XySeries } from './xy-chart.tsx';

/** Charts of throughput, p50 and p99, one of each for every combination that is a panel. */
export function Curves({ report }: { report: Report }) {
  const found = layout(report);
  if (!found) return null;
  const { axis, panels, more } = found;
  const x = chosen(axis.levels.map(({ value }) => value));
  const metrics: MetricName[] = ['requestsPerS', 'p50', 'p99'];
  const scales = Object.fromEntries(metrics.map((metric) => [metric, scaleOf(report, metric)]));
  return (
    <section class="part-of-report">
      <h2>Throughput and latency over {axis.title}</h2>
      <p class="hint">
        Marks are medians over the repetitions with their intervals, faint dots the single trials. Thin dashed lines are
        what delay, worker counts and load alone would give: the ideal.
      </p>
      {panels.map((panel) => (
        <div class="panel-of-charts" key={panel.label}>
          {panel.label && <h3 class="panel-title">{panel.label}</h3>}
          <div class="chart-row">
            {metrics.map((metric) => (
              <XyChart
                key={metric}
                title={titles[metric] ?? ''}
                series={seriesOf(panel, metric)}
                xTitle={axis.title}
                x={x}
                sayX={(value) => tick(axis, value)}
                y={scales[metric] as Scale}
                sayY={METRICS[metric].say}
              />
            ))}
          </div>
        </div>
      ))}
      {more > 0 && <p class="hint">{more} more combinations are in the table.</p>}
    </section>
  );
}

const titles: Partial<Record<MetricName, string>> = {
  requestsPerS: 'Throughput, requests/s',
  p50: 'Latency, p50',
  p99: 'Latency, p99',
};

const tick = (axis: Axis, value: number): string =>
  axis.levels.length > 12 ? rate(value) : value.toLocaleString('en');

/** One scale for all panels, so that they can be compared. */
function scaleOf({ summary }: Report, metric: MetricName): Scale {
  const measured = summary.cells.flatMap((cell) => cell.figures[metric]?.values ?? []);
  const expected = summary.cells.flatMap((cell) => cell.expected?.figures[metric]?.median ?? []);
  return metric === 'requestsPerS' ? linear(0, Math.max(0, ...measured, ...expected)) : suited([...measured, ...expected.filter((value) => value > 0)]);
}

/** A panel's curves for one metric. */
export function seriesOf(panel: Panel, metric: MetricName): XySeries[] {
  return panel.curves.map(({ label, points }) => ({
    label,
    points: points.flatMap(({ x, cell }) => pointOf(x, cell, metric) ?? []),
    expected: points.flatMap(({ x, cell }) => {
      const expected = cell.expected?.figures[metric]?.median;
      return expected === undefined || (expected === 0 && metric !== 'requestsPerS') ? [] : [{ x, y: expected }];
    }),
  }));
}

function pointOf(x: number, cell: CellSummary, metric: MetricName): XyPoint | undefined {
  const figure = cell.figures[metric];
  if (!figure) return undefined;
  const { median, low, high, values } = figure;
  const half = spread(figure);
  const said = `${METRICS[metric].say(median)}${half ? ` ±${Math.round(half * 100)} %` : ''}`;
  return { x, y: median, ...(values.length > 1 && { low, high }), values, said };
}

/** What rises with the load until something gives way. */
export function Knees({ report }: { report: Report }) {
  const { plan, summary } = report;
  if (summary.knees.length === 0) return null;
  const rates = summary.knees.flatMap(({ points }) => points.map(({ offered }) => offered));
  const x = linear(0, Math.max(...rates));
  const achieved = linear(0, Math.max(...rates));
  const p99 = suited(summary.knees.flatMap(({ points }) => points.map((point) => point.p99Ms)));
  return (
    <section class="part-of-report">
      <h2>The knee</h2>
      <p class="hint">
        The highest rate of which at least 95 % was achieved, with a p99 of at most three times that at the lowest rate.
      </p>
      {summary.knees.map(({ others, points, knee, capacityPerS }) => {
        const marks = [
          ...(knee ? [{ x: knee.sustained, label: `sustained: ${rate(knee.sustained)}/s` }] : []),
          ...(capacityPerS && capacityPerS <= (x.ticks.at(-1) ?? 0)
            ? [{ x: capacityPerS, label: `capacity: ${rate(capacityPerS)}/s` }]
            : []),
        ];
        const common = { x, xTitle: 'requests offered per second', sayX: rate };
        const name = Object.keys(others).length > 0 ? cellName(plan, others) : '';
        return (
          <div class="panel-of-charts" key={name}>
            {name && <h3 class="panel-title">{name}</h3>}
            <div class="chart-row is-two">
              <XyChart
                {...common}
                title="Achieved, requests/s"
                expectedLabel="all that is offered"
                series={[
                  {
                    label: 'achieved',
                    points: points.map((point) => ({ x: point.offered, y: point.achieved, said: `${rate(point.achieved)}/s of ${rate(point.offered)}/s` })),
                    expected: [{ x: 0, y: 0 }, { x: Math.max(...rates), y: Math.max(...rates) }],
                  },
                ]}
                marks={marks.slice(0, 1)}
                y={achieved}
                sayY={rate}
              />
              <XyChart
                {...common}
                title="Latency, p99"
                series={[
                  { label: 'p99', points: points.map((point) => ({ x: point.offered, y: point.p99Ms, said: duration(point.p99Ms) })) },
                ]}
                marks={marks}
                y={p99}
                sayY={duration}
              />
            </div>
          </div>
        );
      })}
    </section>
  );
}
