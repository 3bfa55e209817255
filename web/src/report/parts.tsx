/** Row charts: measured against expected, pairs, where the time goes, who did the work, what it took. */
import { brief, duration, percent } from '../ui/format.ts';
import type { CellSummary, Estimate, Hop, Metric, Report, UsageSummary } from '../wire.ts';
import { bytes, METRICS, times } from './metrics.ts';
import { compared, RatioChart } from './ratios.tsx';
import { Bar, Dot, PartsLegend, RowChart, type Part } from './rows.tsx';
import { linear, suited, type Scale } from './scale.ts';
import { cellName, levelName } from './shape.ts';

const nameOf = ({ plan }: Report, cell: number): string => cellName(plan, plan.cells[cell]?.levels ?? {});
const measured = ({ summary }: Report): CellSummary[] => summary.cells.filter(({ trials }) => trials > 0);

/** A share of the expected with its interval. */
const shareText = ({ median, low, high, count }: Estimate): string =>
  count > 1 ? `${percent(median)} (${percent(low)} to ${percent(high)})` : percent(median);

/** Throughput, p50 and p99 of each cell beside what is expected of it. */
export function AgainstExpected({ report }: { report: Report }) {
  const cells = measured(report);
  const metrics: Metric[] = ['requestsPerS', 'p50', 'p99'];
  const columns = metrics.map((metric) => {
    const values = cells.flatMap((cell) => [
      cell.figures[metric]?.low ?? [],
      cell.figures[metric]?.high ?? [],
      cell.expected?.figures[metric]?.median || [],
    ]);
    return { title: METRICS[metric].label, say: METRICS[metric].say, scale: suited(values.flat()) };
  });
  const rows = cells.map((cell) => ({
    name: nameOf(report, cell.cell),
    cells: metrics.map((metric, index) => {
      const figure = cell.figures[metric];
      const expected = cell.expected?.figures[metric];
      const share = cell.byExpected?.[metric];
      const text = figure ? METRICS[metric].say(figure.median) : '–';
      return (
        <Dot
          scale={columns[index]?.scale as Scale}
          value={figure?.median}
          low={figure?.low}
          high={figure?.high}
          expected={expected && expected.median > 0 ? expected : undefined}
          text={share === undefined ? text : `${text} · ${shareText(share)}`}
        />
      );
    }),
  }));
  return (
    <section class="part-of-report">
      <h2>Measured against expected</h2>
      <RowChart
        title="Medians and what delay, worker counts and load alone would give"
        note={
          <>
            <span class="key-dot" aria-hidden="true" /> measured, with its interval;{' '}
            <span class="key-tick" aria-hidden="true" /> expected, with the range of nine in ten simulated trials. The
            percentage is measured by expected, within each repetition, whose arrivals are the same: what is missing from
            100 % of a closed loop's throughput, and beyond 100 % of a latency, is the overhead of timers, process, broker,
            network and scheduler. An open loop's throughput is its load.
          </>
        }
        columns={columns}
        rows={rows}
      />
    </section>
  );
}

/** Levels of the paired factor against the first one. */
export function Pairs({ report }: { report: Report }) {
  const { plan, summary } = report;
  const first = summary.contrasts[0];
  if (!first) return null;
  const metrics: Metric[] = ['requestsPerS', 'p50', 'p99', 'cpu', 'memory'];
  const coverage = first.ratios.requestsPerS?.coverage;
  return (
    <section class="part-of-report">
      <h2>Paired differences</h2>
      <RatioChart
        title={`How many times that of ${levelName(first.factor, first.base)}`}
        note={
          <>
            Ratios within each repetition, their geometric mean and interval
            {coverage !== undefined && ` (of ${percent(coverage)})`}. Coloured where the difference is clear after Holm's
            correction for the number of ratios.
          </>
        }
        what={first.factor.replaceAll('_', ' ')}
        metrics={compared(metrics, summary.contrasts)}
        rows={summary.contrasts.map(({ factor, level, others, ratios }) => ({
          name: [levelName(factor, level), Object.keys(others).length > 0 ? `(${cellName(plan, others)})` : ''].join(' ').trim(),
          ratios,
        }))}
      />
    </section>
  );
}

const HOPS: { kind: Hop; label: string }[] = [
  { kind: 'queued', label: 'waiting in the requester' },
  { kind: 'wire', label: 'on the wire' },
  { kind: 'broker', label: 'waiting at the broker' },
  { kind: 'service', label: 'in service' },
];

/** A message's mean time in each stretch of its way. */
export function WhereTimeGoes({ report }: { report: Report }) {
  const cells = measured(report).filter(({ hops }) => Object.keys(hops).length > 0);
  if (cells.length === 0) return null;
  const parts = (spent: Partial<Record<Hop, number>>): Part[] =>
    HOPS.flatMap(({ kind, label }) =>
      spent[kind] ? [{ kind, size: spent[kind], said: `${label} ${duration(spent[kind])}` }] : [],
    );
  const expected = ({ expected: all }: CellSummary): Part[] =>
    all ? parts({ queued: all.requesterWaitMs, broker: all.brokerWaitMs, service: all.serviceMs }) : [];
  const sum = (all: Part[]): number => all.reduce((total, { size }) => total + size, 0);
  const most = Math.max(...cells.flatMap((cell) => [sum(parts(cell.hops)), sum(expected(cell))]));
  const scale = linear(0, most);
  return (
    <section class="part-of-report">
      <h2>Where the time goes</h2>
      <PartsLegend parts={HOPS} />
      <RowChart
        title="A message's mean time, by hop"
        note="The thin bar is what is expected: waits by simulation, service by the delay."
        columns={[{ title: 'mean time of a message', scale, say: duration }]}
        rows={cells.map((cell) => ({
          name: nameOf(report, cell.cell),
          cells: [
            <Bar
              most={scale.ticks.at(-1) ?? most}
              parts={parts(cell.hops)}
              expected={expected(cell)}
              text={duration(sum(parts(cell.hops)))}
            />,
          ],
        }))}
      />
    </section>
  );
}

/** Who answered how many of the messages. */
export function Work({ report }: { report: Report }) {
  const cells = measured(report).filter(({ responders }) => responders.length > 1);
  const nodes = [...new Set(cells.flatMap((cell) => Object.keys(cell.nodes)))].sort();
  if (cells.length === 0) return null;
  const most = Math.max(2, ...cells.map(({ responders }) => (responders[0] ?? 0) * responders.length));
  const scale = linear(0, most, 4);
  const columns = [
    { title: 'each worker by an even share', scale, say: times },
    { title: 'busiest and idlest' },
    ...(nodes.length > 1 ? [{ title: `nodes: ${nodes.map(brief).join(', ')}` }] : []),
  ];
  return (
    <section class="part-of-report">
      <h2>Who did the work</h2>
      <RowChart
        title="Share of each responder worker"
        note="A dot for each worker: at 1× it answered as many messages as if all did the same."
        columns={columns}
        rows={cells.map(({ cell, responders, nodes: shares }) => ({
          name: nameOf(report, cell),
          cells: [
            <span class="dot-cell">
              <span class="track" aria-hidden="true">
                <s style={{ left: `${scale.at(1) * 100}%` }} />
                {responders.map((share, index) => (
                  <i key={index} class="is-faint" style={{ left: `${scale.at(share * responders.length) * 100}%` }} />
                ))}
              </span>
            </span>,
            `${percent(responders[0] ?? 0)} to ${percent(responders.at(-1) ?? 0)} of ${responders.length}`,
            ...(nodes.length > 1 ? [nodes.map((node) => percent(shares[node] ?? 0)).join(' · ')] : []),
          ],
        }))}
      />
    </section>
  );
}

/** The tiers of a group of processes: one, or all in one. */
const tierName = ({ tiers }: UsageSummary): string => (tiers.length > 1 ? 'all' : (tiers[0] ?? 'all'));

const TIERS = [
  { kind: 'all', label: 'all tiers in one process' },
  { kind: 'web', label: 'web' },
  { kind: 'requester', label: 'requester' },
  { kind: 'broker-tier', label: 'broker' },
  { kind: 'responder', label: 'responder' },
];

const kindOf = (usage: UsageSummary): string => (tierName(usage) === 'broker' ? 'broker-tier' : tierName(usage));

/** Processor time and memory, by tier. */
export function Resources({ report }: { report: Report }) {
  const cells = measured(report).filter(({ usage }) => usage.length > 0);
  if (cells.length === 0) return null;
  const parts = (cell: CellSummary, of: (usage: UsageSummary) => number, say: (value: number) => string): Part[] =>
    cell.usage.map((usage) => ({ kind: kindOf(usage), size: of(usage), said: `${tierName(usage)} ${say(of(usage))}` }));
  const columns = [
    { title: 'CPU per message', of: (usage: UsageSummary) => usage.cpuUsPerMessage, say: METRICS.cpu.say },
    { title: 'memory', of: (usage: UsageSummary) => usage.residentBytes, say: bytes },
  ].map((column) => {
    const sums = cells.map(({ usage }) => usage.reduce((total, one) => total + column.of(one), 0));
    return { ...column, scale: linear(0, Math.max(...sums)) };
  });
  const used = new Set(cells.flatMap(({ usage }) => usage.map(kindOf)));
  return (
    <section class="part-of-report">
      <h2>CPU and memory</h2>
      <PartsLegend parts={TIERS.filter(({ kind }) => used.has(kind))} />
      <RowChart
        title="What the tiers used"
        note="Processor time without that of the load generator where that shares a process; resident memory at the end of a trial."
        columns={columns}
        rows={cells.map((cell) => ({
          name: nameOf(report, cell.cell),
          cells: columns.map(({ of, say, scale }) => {
            const all = parts(cell, of, say);
            const sum = all.reduce((total, { size }) => total + size, 0);
            return <Bar most={scale.ticks.at(-1) ?? sum} parts={all} text={say(sum)} />;
          }),
        }))}
      />
    </section>
  );
}

