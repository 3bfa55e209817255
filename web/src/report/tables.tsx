/** All figures as tables, what went wrong, and what it was measured on. */
import { Facts } from '../ui/facts.tsx';
import { count, percent, rate } from '../ui/format.ts';
import type { CellSummary, Environment, Estimate, Figure, Formula, Metric, Plan, Report } from '../wire.ts';
import { bytes, METRICS, spread } from './metrics.ts';
import { cellName } from './shape.ts';

/** The metrics that tables of all figures have columns for. */
export const MEASURED: Metric[] = [
  'requestsPerS',
  'messagesPerS',
  'mean',
  'p50',
  'p90',
  'p95',
  'p99',
  'p999',
  'max',
  'cpu',
  'memory',
];

/** Metrics of requests with all of their replies. */
const LATENCIES: ReadonlySet<Metric> = new Set<Metric>(['mean', 'p50', 'p90', 'p95', 'p99', 'p999', 'max']);

/** Medians of every cell, with half of their intervals. */
export function AllFigures({ report }: { report: Report }) {
  const { plan, summary } = report;
  const factors = plan.factors.map(([factor]) => factor);
  return (
    <section class="part-of-report">
      <h2>All figures</h2>
      <p class="hint">
        Medians over the repetitions, ± half of the interval. In italics: percentiles of fewer requests than they need,
        which are just the slowest; latencies without a steady state, which depend on warm-up and duration; latencies cut
        off by timeouts.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="All figures">
        <table class="figures">
          <thead>
            <tr>
              {(factors.length > 0 ? factors : ['']).map((factor) => (
                <th key={factor} scope="col">
                  {factor.replaceAll('_', ' ') || 'cell'}
                </th>
              ))}
              <th scope="col" class="number">
                trials
              </th>
              {MEASURED.map((metric) => (
                <th key={metric} scope="col" class="number">
                  {METRICS[metric].label}
                </th>
              ))}
              <th scope="col" class="number">
                requests
              </th>
              <th scope="col" class="number">
                failed
              </th>
              <th scope="col" class="number">
                refused
              </th>
            </tr>
          </thead>
          <tbody>
            {summary.cells.map((cell) => (
              <tr key={cell.cell}>
                {factors.map((factor, index) => {
                  const level = plan.cells[cell.cell]?.levels[factor];
                  return index === 0 ? (
                    <th key={factor} scope="row">
                      {level}
                    </th>
                  ) : (
                    <td key={factor}>{level}</td>
                  );
                })}
                {factors.length === 0 && <th scope="row">the only one</th>}
                <td class="number">
                  {cell.trials} of {plan.repetitions}
                </td>
                {MEASURED.map((metric) => (
                  <td key={metric} class={doubt(cell, metric) ? 'number is-few' : 'number'} title={doubt(cell, metric)}>
                    <FigureText metric={metric} figure={cell.figures[metric]} />
                  </td>
                ))}
                <td class="number">{count(cell.requests.sent)}</td>
                <td class="number">{count(cell.requests.failed)}</td>
                <td class="number">{count(cell.requests.refused)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Why a figure is not what it is called; undefined where it is. */
function doubt(cell: CellSummary, metric: Metric): string | undefined {
  if (!LATENCIES.has(metric)) return undefined;
  if (cell.isOverloaded || cell.isUnsteady) return 'no steady state: it depends on warm-up and duration';
  if (cell.messages.timeouts > 0) return 'cut off by timeouts: the true one is higher';
  return fewness(cell.figures[metric]);
}

/** Why a percentile is just the slowest request; undefined where it has enough. Comparisons know no other doubt. */
export const fewness = (figure: Figure | undefined): string | undefined =>
  figure?.isFew ? 'of too few requests: just the slowest' : undefined;

/** A median with half of its interval. */
export function FigureText({ metric, figure }: { metric: Metric; figure: Estimate | undefined }) {
  if (!figure) return <>–</>;
  const half = spread(figure);
  return (
    <>
      {METRICS[metric].say(figure.median)}
      {half !== undefined && <small> ±{Math.round(half * 100)} %</small>}
    </>
  );
}

const MEASURES = { 'mean-wait': 'mean wait', 'mean-latency': 'mean latency', throughput: 'messages/s' };

/** What theory says, where a formula fits. */
export function Theory({ report }: { report: Report }) {
  const { plan, summary } = report;
  const known = summary.cells.filter(({ expected }) => expected);
  const none = summary.cells.filter(({ expectedNone }) => expectedNone);
  if (known.length === 0 && none.length === 0) return null;
  const say = ({ measure }: Formula, value: number): string =>
    measure === 'throughput' ? rate(value) : METRICS.mean.say(value);
  return (
    <section class="part-of-report">
      <h2>What is expected</h2>
      {known.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="What is expected">
          <table>
            <thead>
              <tr>
                <th scope="col">cell</th>
                <th scope="col" class="number">
                  capacity, messages/s
                </th>
                <th scope="col" class="number">
                  utilisation
                </th>
                <th scope="col">formula</th>
                <th scope="col" class="number">
                  by formula
                </th>
                <th scope="col" class="number">
                  simulated
                </th>
              </tr>
            </thead>
            <tbody>
              {known.map(({ cell, expected }) => {
                const formula = expected?.formulas[0];
                return (
                  <tr key={cell}>
                    <th scope="row">{cellName(plan, plan.cells[cell]?.levels ?? {})}</th>
                    <td class="number">{expected?.capacityPerS ? rate(expected.capacityPerS) : 'no bound'}</td>
                    <td class="number">
                      {percent(expected?.utilisation ?? 0)}
                      {expected?.saturated && ', saturated'}
                    </td>
                    <td>
                      {formula
                        ? `${formula.name}, ${MEASURES[formula.measure]}${formula.exact ? '' : ' (approximate)'}`
                        : 'none fits: simulated'}
                    </td>
                    <td class="number">{formula && say(formula, formula.value)}</td>
                    <td class="number">{formula && say(formula, formula.simulated)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {none.map(({ cell, expectedNone }) => (
        <p class="hint" key={cell}>
          {cellName(plan, plan.cells[cell]?.levels ?? {})}: nothing is expected, {expectedNone}.
        </p>
      ))}
    </section>
  );
}

/** Trials without figures, ledgers that do not balance, errors by kind. */
export function Troubles({ report }: { report: Report }) {
  const { plan, summary } = report;
  const cells = summary.cells.filter((cell) => cell.problems.length > 0 || Object.keys(cell.errors).length > 0);
  if (cells.length === 0) return null;
  return (
    <section class="part-of-report">
      <h2>What went wrong</h2>
      <ul class="troubles">
        {cells.map((cell) => (
          <li key={cell.cell}>
            <h3>{cellName(plan, plan.cells[cell.cell]?.levels ?? {})}</h3>
            <ul>
              {cell.problems.map((problem, index) => (
                <li key={index}>{problem}</li>
              ))}
              {Object.entries(cell.errors).map(([error, times]) => (
                <li key={error}>
                  {count(times)} × {error}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface Measured {
  environment: Environment;
  plan?: Plan;
  conditions?: [string, string][] | undefined;
}

/** The machine and the program. */
export function EnvironmentTable({ environment, plan, conditions = [] }: Measured) {
  const { version, host, system, architecture, processor, cores, memoryBytes, loadAverage, nodes } = environment;
  const { commit, build, isVirtual, governor, turbo, cpuLimit, memoryLimitBytes, command = [] } = environment;
  const limits = [cpuLimit && `${cpuLimit} cores`, memoryLimitBytes && bytes(memoryLimitBytes)].filter(Boolean);
  const rows: [string, string][] = [
    ['command', command.map((word) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ') || 'not known'],
    ['swarmq', [version, commit, build && `${build} build`].filter(Boolean).join(', ')],
    ['load made by', host],
    ['system', [system, architecture].filter(Boolean).join(', ')],
    ['processor', `${processor ? `${processor}, ` : ''}${cores} cores${isVirtual ? ', virtual' : ''}`],
    ['frequency governor', governor || 'not known'],
    ['turbo', turbo === null || turbo === undefined ? 'not known' : turbo ? 'on' : 'off'],
    ['limits of the control group', limits.join(', ') || 'none'],
    ['memory', bytes(memoryBytes)],
    ['load average at the start', loadAverage.toFixed(2)],
    ...conditions.map(([what, range]): [string, string] => [`${what}, during the trials`, range]),
    ['nodes', nodes.join(', ') || 'not known'],
    ...(plan ? settings(plan) : []),
  ];
  return <Facts rows={rows} />;
}

function settings(plan: Plan): [string, string][] {
  return [
    ['order', plan.order],
    ['seed', String(plan.seed)],
    ['timeout of a message', METRICS.mean.say(plan.timeoutMs)],
    ...Object.entries(plan.settings).map(([key, value]): [string, string] => [key, value]),
  ];
}
