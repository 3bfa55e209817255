/** Latency by percentile: the tail, as HdrHistogram's plots show it. */
import { useState } from 'preact/hooks';
import { duration } from '../ui/format.ts';
import type { CellSummary, Metric, Report } from '../wire.ts';
import { nines, suited } from './scale.ts';
import { cellName, MOST_CURVES, spreadOut } from './shape.ts';
import { XyChart, type XySeries } from './xy-chart.tsx';

const EXPECTED: [Metric, number][] = [
  ['p50', 0.5],
  ['p90', 0.9],
  ['p95', 0.95],
  ['p99', 0.99],
  ['p999', 0.999],
];

/** The chart, and which cells it shows. */
export function Percentiles({ report }: { report: Report }) {
  const all = report.summary.cells.filter(({ percentiles }) => percentiles.length > 0);
  const [chosen, setChosen] = useState<number[]>();
  if (all.length === 0) return null;
  const shown = new Set(chosen ?? spreadOut(all, MOST_CURVES).map(({ cell }) => cell));
  const cells = all.filter(({ cell }) => shown.has(cell));
  const most = Math.max(...cells.map((cell) => cell.requests.complete), 10);
  const series = cells.map((cell) => curve(report, cell, most, cells.length <= 3));
  const values = series.flatMap(({ points, expected = [] }) => [...points, ...expected].map(({ y }) => y));
  const toggle = (cell: number): void => {
    const next = new Set(shown);
    if (!next.delete(cell)) next.add(cell);
    setChosen([...next]);
  };
  return (
    <section class="part-of-report">
      <h2>Latency by percentile</h2>
      <p class="hint">
        Of all repetitions together. Each step to the right is ten times rarer: at 99 % one request in a hundred is
        slower.
      </p>
      <XyChart
        title="Latency of requests"
        series={series}
        xTitle="share of requests that are not slower"
        x={nines(most)}
        sayX={(share) => `${Number((share * 100).toFixed(4))} %`}
        y={suited(values.filter((value) => value > 0))}
        sayY={duration}
      />
      {all.length > 1 && (
        <details class="choose">
          <summary>
            {cells.length} of {all.length} cells are shown
          </summary>
          <fieldset>
            <legend class="unseen">Cells to show</legend>
            {all.map(({ cell }) => (
              <label key={cell}>
                <input type="checkbox" checked={shown.has(cell)} onChange={() => toggle(cell)} />
                {cellName(report.plan, report.plan.cells[cell]?.levels ?? {})}
              </label>
            ))}
          </fieldset>
        </details>
      )}
    </section>
  );
}

function curve(report: Report, cell: CellSummary, most: number, withExpected: boolean): XySeries {
  const end = 1 - 1 / most;
  const points = cell.percentiles.map(({ share, us }) => ({ x: Math.min(share, end), y: us / 1_000 }));
  const expected = EXPECTED.flatMap(([metric, x]) => {
    const y = cell.expected?.figures[metric]?.median;
    return y && x <= end ? [{ x, y }] : [];
  });
  return {
    label: cellName(report.plan, report.plan.cells[cell.cell]?.levels ?? {}),
    points: points.filter(({ y }) => y > 0),
    bare: true,
    ...(withExpected && { expected }),
  };
}
