/** Throughput and latency over a numeric factor, and the knee. */
import { rate } from '../ui/format.ts';
import { keysOf } from '../domain/keys.ts';
import type { CellSummary, Metric, Report } from '../wire.ts';
import { METRICS, spread } from './metrics.ts';
import { chosen, linear, suited, type Scale } from './scale.ts';
import { cellName, layout, type Axis, type Panel } from './shape.ts';
import { XyChart, type XyMark, type XyPoint, type XySeries } from './xy-chart.tsx';

/** Charts of throughput, p50 and p99, one of each for every combination that is a panel. */
export function Curves({ report }: { report: Report }) {
  const found = layout(report);
  if (!found) return null;
  const { axis, panels, more } = found;
  const x = chosen(axis.levels.map(({ value }) => value));
  const metrics: Metric[] = ['requestsPerS', 'p50', 'p99'];
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
                marks={marksOf(report, axis, panel)}
              />
            ))}
          </div>
        </div>
      ))}
      {more > 0 && <p class="hint">{more} more combinations are in the table.</p>}
    </section>
  );
}

const titles: Partial<Record<Metric, string>> = {
  requestsPerS: 'Throughput, requests/s',
  p50: 'Latency, p50',
  p99: 'Latency, p99',
};

const tick = (axis: Axis, value: number): string =>
  axis.levels.length > 12 ? rate(value) : value.toLocaleString('en');

/** One scale for all panels, so that they can be compared. */
function scaleOf({ summary }: Report, metric: Metric): Scale {
  const measured = summary.cells.flatMap((cell) => cell.figures[metric]?.values ?? []);
  const expected = summary.cells.flatMap((cell) => cell.expected?.figures[metric]?.median ?? []);
  return metric === 'requestsPerS' ? linear(0, Math.max(0, ...measured, ...expected)) : suited([...measured, ...expected.filter((value) => value > 0)]);
}

/** A panel's curves for one metric. */
export function seriesOf(panel: Panel, metric: Metric): XySeries[] {
  return panel.curves.map(({ label, points }) => ({
    label,
    points: points.flatMap(({ x, cell }) => pointOf(x, cell, metric) ?? []),
    expected: points.flatMap(({ x, cell }) => {
      const expected = cell.expected?.figures[metric]?.median;
      return expected === undefined || (expected === 0 && metric !== 'requestsPerS') ? [] : [{ x, y: expected }];
    }),
  }));
}

function pointOf(x: number, cell: CellSummary, metric: Metric): XyPoint | undefined {
  const figure = cell.figures[metric];
  if (!figure) return undefined;
  const { median, low, high, values } = figure;
  const half = spread(figure);
  const said = `${METRICS[metric].say(median)}${half ? ` ±${Math.round(half * 100)} %` : ''}`;
  return { x, y: median, ...(values.length > 1 && { low, high }), values, said };
}

/** The rate that was sustained, and what could be, on a chart of one curve over rates. */
function marksOf({ plan, summary }: Report, axis: Axis, panel: Panel): XyMark[] {
  const first = panel.curves[0]?.points[0];
  if (axis.factor !== 'load' || panel.curves.length > 1 || !first) return [];
  const levels = plan.cells[first.cell.cell]?.levels ?? {};
  const found = summary.knees.find(({ others }) =>
    keysOf(others).every((factor) => levels[factor] === others[factor]),
  );
  const most = axis.levels.at(-1)?.value ?? 0;
  const marks = [
    { x: found?.knee?.sustained ?? Infinity, label: 'sustained' },
    { x: found?.capacityPerS ?? Infinity, label: 'capacity' },
  ];
  return marks.filter(({ x }) => x <= most);
}

const LIMITS = { throughput: 'less than 95 % of those due done', latency: 'p99 above 3 times the lowest' };

/** Which rates were sustained until something gave way. */
export function Knees({ report }: { report: Report }) {
  const { plan, summary } = report;
  if (summary.knees.length === 0) return null;
  const perS = (value: number | null | undefined, otherwise: string): string => (value ? `${rate(value)}/s` : otherwise);
  return (
    <section class="part-of-report">
      <h2>The knee</h2>
      <p class="hint">
        The highest rate of which at least 95 % of the requests due were done, with a p99 of at most three times that at the
        lowest rate: by the medians, and the rates between which it lies by the intervals.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="The knee">
        <table>
          <thead>
            <tr>
              <th scope="col">cells</th>
              <th scope="col" class="number">
                sustained
              </th>
              <th scope="col" class="number">
                between
              </th>
              <th scope="col" class="number">
                of a capacity of
              </th>
              <th scope="col" class="number">
                no more at
              </th>
              <th scope="col">because</th>
            </tr>
          </thead>
          <tbody>
            {summary.knees.map(({ others, knee, capacityPerS }) => {
              const name = Object.keys(others).length > 0 ? cellName(plan, others) : 'all';
              return (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td class="number">{perS(knee?.sustained, 'none that was tried')}</td>
                  <td class="number">
                    {knee?.atMost !== undefined && `${perS(knee.atLeast, 'none')} to ${perS(knee.atMost, 'none')}`}
                  </td>
                  <td class="number">{perS(capacityPerS, 'no bound')}</td>
                  <td class="number">{knee ? perS(knee.beyond, 'nothing higher was tried') : ''}</td>
                  <td>{knee?.limit && LIMITS[knee.limit]}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
