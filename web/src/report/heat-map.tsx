/** Two factors at once: a grid of figures, the colour as strong as the figure is large. */
import type { Metric, Report } from '../wire.ts';
import { METRICS } from './metrics.ts';
import { byDistance, byRatio } from './scale.ts';
import { grids, type Grid } from './shape.ts';

const SHOWN: { metric: Metric; title: string }[] = [
  { metric: 'requestsPerS', title: 'Throughput, requests/s' },
  { metric: 'p99', title: 'Latency, p99' },
];

/** Heat maps where two factors are numeric. */
export function HeatMaps({ report }: { report: Report }) {
  const found = grids(report);
  const first = found[0];
  if (!first) return null;
  return (
    <section class="part-of-report">
      <h2>
        {first.rows.title} × {first.columns.title}
      </h2>
      {found.map((grid) => (
        <div class="panel-of-charts" key={grid.label}>
          {grid.label && <h3 class="panel-title">{grid.label}</h3>}
          <div class="chart-row is-two">
            {SHOWN.map(({ metric, title }) => (
              <HeatMap key={metric} grid={grid} metric={metric} title={title} />
            ))}
          </div>
        </div>
      ))}
    </section>
  );
}

/** How strong a figure's colour is, from 0 to 1: by its ratio to the others, where they are far apart. */
export function strength(value: number, low: number, high: number): number {
  if (!(high > low)) return 0.5;
  return (low > 0 && high / low > 8 ? byRatio : byDistance)(low, high)(value);
}

function HeatMap({ grid, metric, title }: { grid: Grid; metric: Metric; title: string }) {
  const values = grid.cells.flatMap((row) => row.flatMap((cell) => cell?.figures[metric]?.median ?? []));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={[title, grid.label].join(' ')}>
      <table class={`heat is-${METRICS[metric].better}`}>
        <caption>{title}</caption>
        <thead>
          <tr>
            <td>
              {grid.rows.title} ↓ · {grid.columns.title} →
            </td>
            {grid.columns.levels.map(({ text }) => (
              <th key={text} scope="col">
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {grid.rows.levels.map(({ text }, row) => (
            <tr key={text}>
              <th scope="row">{text}</th>
              {grid.columns.levels.map((column, index) => {
                const value = grid.cells[row]?.[index]?.figures[metric]?.median;
                const part = value === undefined ? 0 : strength(value, low, high);
                return (
                  <td key={column.text} style={{ '--strength': `${Math.round(8 + part * 92)}%` }}>
                    {value === undefined ? '–' : METRICS[metric].say(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
