/** Two runs side by side. */
import { plural } from '../ui/format.ts';
import { keysOf } from '../domain/keys.ts';
import type { Comparison, Metric, Side } from '../wire.ts';
import { METRICS, verdict } from './metrics.ts';
import { compared, RatioChart } from './ratios.tsx';
import { levelName, type Levels } from './shape.ts';
import { EnvironmentTable, fewness, FigureText, MEASURED } from './tables.tsx';

const SHOWN: Metric[] = ['requestsPerS', 'p50', 'p99', 'cpu', 'memory'];
const TABLE: Metric[] = [...MEASURED, 'errors'];

const name = (levels: Levels): string =>
  keysOf(levels)
    .map((factor) => levelName(factor, levels[factor] ?? ''))
    .join(', ') || 'the only cell';

/** All of it. */
export function ComparisonView({ comparison }: { comparison: Comparison }) {
  const { before, after, cells, broken, unlike, onlyBefore, onlyAfter, isPaired, aaRuns } = comparison;
  const known = compared(SHOWN, cells);
  const judged = known.filter((metric) => aaRuns > 0 || (metric !== 'cpu' && metric !== 'memory'));
  const figures = cells.flatMap(({ ratios }) =>
    judged.flatMap((metric) => (ratios[metric] ? [{ metric, ratio: ratios[metric] }] : [])),
  );
  const count = (wanted: 'better' | 'worse'): number =>
    figures.filter(({ metric, ratio }) => verdict(metric, ratio) === wanted).length;
  const alike = figures.filter(({ ratio }) => ratio.verdict === 'alike').length;
  return (
    <article class="report">
      <header>
        <p class="kind">Comparison</p>
        <h1>
          {before.plan}
          {before.plan === after.plan ? '' : ` and ${after.plan}`}
        </h1>
        <p class="description">
          {title(after)} against {title(before)}
        </p>
      </header>
      <section class="abstract" aria-label="Abstract">
        <h2>What it shows</h2>
        <ul>
          {broken.map((text, index) => (
            <li key={index} class="is-warning">
              <b>Broken: </b>
              {text}
            </li>
          ))}
          {unlike.length > 0 && (
            <li class="is-warning">
              <b>Mind: </b>the runs are not alike: {unlike.join('; ')}.
            </li>
          )}
          <li>
            Of {plural(figures.length, 'figure')} in {plural(cells.length, 'cell')}, {count('better')} are
            better and {count('worse')} worse by more than chance explains; {alike} are alike within 5 %.
          </li>
          {aaRuns === 0 && (
            <li class="is-warning">
              <b>Mind: </b>this holds for these two runs. Other runs of the same programs differ by more: give such runs to{' '}
              <code>swarmq experiment compare --aa</code>. CPU and memory are judged beside such runs only.
            </li>
          )}
          {onlyBefore.length > 0 && <li>Only in the first: {onlyBefore.join('; ')}.</li>}
          {onlyAfter.length > 0 && <li>Only in the second: {onlyAfter.join('; ')}.</li>}
        </ul>
      </section>
      <section class="part-of-report">
        <h2>Ratios</h2>
        <RatioChart
          title="How many times the first the second is"
          note={
            <>
              Ratios of geometric means with their 95 % intervals, by Student's t of the logarithms:{' '}
              {isPaired
                ? 'within each repetition, where both runs had the same arrivals'
                : 'not paired, because seed, warm-up, duration or count differ'}
              {aaRuns > 0 && `; with what ${aaRuns} runs of the first program differ by`}. Coloured where the difference is
              clear after Holm's correction for the number of figures.
            </>
          }
          metrics={known}
          rows={cells.map(({ levels, ratios }) => ({ name: name(levels), ratios }))}
        />
      </section>
      <section class="part-of-report">
        <h2>All figures</h2>
        <p class="hint">In italics: percentiles of fewer requests than they need, which are just the slowest.</p>
        <div class="scroll" tabIndex={0} role="region" aria-label="All figures">
          <table class="figures">
            <thead>
              <tr>
                <th scope="col">cell</th>
                <th scope="col">run</th>
                {TABLE.map((metric) => (
                  <th key={metric} scope="col" class="number">
                    {METRICS[metric].label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {cells.flatMap(({ levels, before: first, after: second }) =>
                [first, second].map((side, index) => (
                  <tr key={`${name(levels)} ${index}`}>
                    <th scope="row">{name(levels)}</th>
                    <td>{index === 0 ? 'first' : 'second'}</td>
                    {TABLE.map((metric) => (
                      <td
                        key={metric}
                        class={fewness(side[metric]) ? 'number is-few' : 'number'}
                        title={fewness(side[metric])}
                      >
                        <FigureText metric={metric} figure={side[metric]} />
                      </td>
                    ))}
                  </tr>
                )),
              )}
            </tbody>
          </table>
        </div>
      </section>
      {[before, after].map((side, index) => (
        <section class="part-of-report" key={index}>
          <h2>{index === 0 ? 'The first was measured on' : 'The second was measured on'}</h2>
          <EnvironmentTable environment={side.environment} />
        </section>
      ))}
    </article>
  );
}

const title = ({ plan, target, startedAt }: Side): string =>
  `${plan} (${target}) of ${new Date(startedAt).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })}`;
