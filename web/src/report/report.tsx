/** The report of a run: what it shows, first in words, then in charts, then in every figure. */
import { Fact, Facts } from '../ui/facts.tsx';
import { plural } from '../ui/format.ts';
import { keysOf } from '../domain/keys.ts';
import type { Delay, Plan, Report, Setup } from '../wire.ts';
import { Curves, Knees } from './curves.tsx';
import { HeatMaps } from './heat-map.tsx';
import { METRICS } from './metrics.ts';
import { AgainstExpected, Pairs, Resources, WhereTimeGoes, Work } from './parts.tsx';
import { Percentiles } from './percentiles.tsx';
import { factorName } from './shape.ts';
import { AllFigures, EnvironmentTable, Theory, Troubles } from './tables.tsx';

interface Props {
  report: Report;
  /** Whether the run's name and plan stand above; a page around it may tell them itself. */
  head?: boolean;
}

/** All of it; also of a run that is still going on. */
export function ReportView({ report, head = true }: Props) {
  const { plan, summary, environment } = report;
  return (
    <article class="report">
      {head && (
        <header>
          <p class="kind">Experiment</p>
          <h1>{plan.name}</h1>
          {plan.description && <p class="description">{plan.description}</p>}
          <RunFacts report={report} />
        </header>
      )}
      <section class="abstract" aria-label="Abstract">
        <h2>What it shows</h2>
        <ul>
          {summary.abstract.map(({ isWarning, text }, index) => (
            <li key={index} class={isWarning ? 'is-warning' : undefined}>
              {isWarning && <b>Mind: </b>}
              {text}
            </li>
          ))}
        </ul>
      </section>
      {summary.cells.some(({ trials }) => trials > 0) && (
        <>
          <Curves report={report} />
          <HeatMaps report={report} />
          <Knees report={report} />
          <Pairs report={report} />
          <AgainstExpected report={report} />
          <Percentiles report={report} />
          <WhereTimeGoes report={report} />
          <Work report={report} />
          <Resources report={report} />
        </>
      )}
      <AllFigures report={report} />
      <Theory report={report} />
      <Troubles report={report} />
      <section class="part-of-report">
        <h2>Measured on</h2>
        <EnvironmentTable environment={environment} plan={plan} conditions={summary.conditions} />
      </section>
      <Method plan={plan} />
    </article>
  );
}

function RunFacts({ report: { plan, summary, startedAt, finishedAt } }: { report: Report }) {
  const span = finishedAt === null ? 'not finished' : METRICS.mean.say(finishedAt - startedAt);
  const facts: [string, string][] = [
    ['target', plan.target],
    ['varied', plan.factors.map(([factor, levels]) => `${factorName(factor)} (${levels.length})`).join(' × ') || 'nothing'],
    ['trials', `${summary.trialsDone} of ${summary.trialsPlanned}, ${plural(plan.repetitions, 'repetition')}`],
    ['each', `${METRICS.mean.say(plan.durationMs)} after ${METRICS.mean.say(plan.warmUpMs)} of warm-up`],
    ['started', new Date(startedAt).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })],
    ['took', span],
  ];
  return (
    <Facts rows={facts}>
      <Fact name="fixed" isWide>
        {fixed(plan)}
      </Fact>
    </Facts>
  );
}

/** What all cells have in common, as the first one's setup says. */
function fixed(plan: Plan): string {
  const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  const setups = plan.cells.map(({ setup }) => setup);
  const first = setups[0];
  if (!first) return '';
  const same = keysOf(first).filter((key) =>
    setups.every((setup) => JSON.stringify(setup[key]) === JSON.stringify(first[key])),
  );
  const isUsed = (key: keyof Setup): boolean => {
    if (key === 'rounds') return first.task === 'cpu';
    if (key === 'window') return setups.some(({ socket }) => socket === 'dealer');
    return key !== 'payloadBytes' || first.task === 'echo';
  };
  const say = (key: keyof Setup): string => (key === 'delay' ? delayText(first.delay) : String(first[key]));
  return same
    .filter(isUsed)
    .map((key) => `${words(key)} ${say(key)}`)
    .join(', ');
}

function delayText({ kind, minMs, maxMs, meanMs, sigma }: Delay): string {
  if (kind === 'none') return 'none';
  if (kind === 'uniform') return `uniform ${minMs} to ${maxMs} ms`;
  return `${kind} ${meanMs} ms${kind === 'log-normal' ? `, sigma ${sigma}` : ''}`;
}

function Method({ plan }: { plan: Plan }) {
  return (
    <section class="part-of-report">
      <h2>How to read this</h2>
      <ul class="method">
        <li>
          A request's latency counts from the moment at which it was meant to be sent until its last reply, so that a
          generator or a server that stalls hides nothing.
        </li>
        <li>
          Each figure is the median over {plural(plan.repetitions, 'repetition')}. Its interval lies between two of the
          measured values and holds the true median with 95 % or, where there are fewer than six repetitions, with what
          they allow (75 % for three); it assumes nothing of how figures are distributed.
        </li>
        <li>
          Expected is what the configured delay, worker counts and load give in a simulation of the same queues, without
          the cost of timers, processes, network and scheduler; for the <code>cpu</code> task its own time is part of the
          difference. A repetition is divided by the simulated trial with the same arrivals.
        </li>
        <li>
          Ratios are of geometric means, with 95 % intervals by Student's t. A difference is clear if its chance is at most
          5 % after Holm's correction for the number of ratios, alike if the whole interval is within 5 %.
        </li>
        <li>No trial is left out as an outlier.</li>
        <li>Percentile curves and hops are of all repetitions together.</li>
        <li>
          The data are beside this file: <code>results.json</code>, <code>results.csv</code> and{' '}
          <code>histograms/</code>, which HdrHistogram's tools read.
        </li>
      </ul>
    </section>
  );
}
