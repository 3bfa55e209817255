import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seriesOf } from '../src/report/curves.tsx';
import { strength } from '../src/report/heat-map.tsx';
import { bytes, times, valueOf, verdict } from '../src/report/metrics.ts';
import type { Cell, CellSummary, Estimate, Factor, Ratio, Report } from '../src/wire.ts';
import { Bar } from '../src/report/rows.tsx';
import { chosen, linear, logarithmic, nines, roomy, roundly, suited, symmetric } from '../src/report/scale.ts';
import { axes, cellName, grids, layout, levelName, spreadOut } from '../src/report/shape.ts';

const estimate = (median: number, low = median, high = median, coverage = 0.95): Estimate => ({
  median,
  low,
  high,
  coverage,
  count: 6,
});

/** A report whose cells are every combination of the factors' levels, with 100 requests a second each. */
function reportOf(factors: [Factor, string[]][], pair: Factor | null = null): Report {
  let cells: Cell['levels'][] = [{}];
  for (const [factor, levels] of factors)
    cells = cells.flatMap((cell) => levels.map((level) => ({ ...cell, [factor]: level })));
  const summaries = cells.map((_, cell) => ({
    cell,
    trials: 1,
    figures: { requestsPerS: { ...estimate(100 + cell, 90, 120), values: [90, 100 + cell, 120] } },
    expected: { figures: { requestsPerS: { median: 200, low: 190, high: 210 } } },
  }));
  return {
    plan: { factors, pair, cells: cells.map((levels) => ({ levels, setup: {} })) },
    summary: { cells: summaries as unknown as CellSummary[], contrasts: [], knees: [], abstract: [] },
  } as unknown as Report;
}

test('axes count in steps that people count in', () => {
  assert.deepEqual(linear(0, 93).ticks, [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(linear(0, 0.7).ticks, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
  assert.deepEqual(linear(0, 0).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.equal(linear(0, 93).at(50), 0.5);
  const log = logarithmic(3, 800);
  assert.deepEqual(log.ticks, [2, 5, 10, 20, 50, 100, 200, 500, 1_000]);
  assert.deepEqual([log.at(2), log.at(1_000)], [0, 1]);
  assert.deepEqual(logarithmic(0.02, 900).ticks, [0.01, 0.1, 1, 10, 100, 1_000]);
  assert.deepEqual(logarithmic(0.05, 2).ticks, [0.05, 0.1, 0.2, 0.5, 1, 2], 'what is named already needs no more room');
  assert.deepEqual(roomy(linear(0, 100), 60, 34), [0, 60]);
  assert.deepEqual(['5.0 ms', '2.00×', '70 MB', '1.50 s', '10.05 s'].map(roundly), ['5 ms', '2×', '70 MB', '1.50 s', '10.05 s']);
});

test('figures that are far apart have an axis of ratios', () => {
  assert.equal(suited([1, 10]).at(0), 0);
  const wide = suited([1, 1_000]);
  assert.ok(Math.abs(wide.at(Math.sqrt(1_000)) - 0.5) < 0.01);
  assert.equal(suited([0, 1_000]).at(500), 0.5, 'there is no ratio to 0');
  assert.equal(suited([]).at(0), 0);
  assert.deepEqual(chosen([1, 2, 4]).ticks, [1, 2, 4]);
  assert.ok(Math.abs(chosen([1, 16, 256]).at(16) - 0.5) < 1e-9);
  assert.equal(chosen([3]).at(3), 0.5);
});

test('each nine takes as much room as the one before', () => {
  const { at, ticks } = nines(1_000);
  assert.deepEqual(ticks, [0, 0.9, 0.99, 0.999]);
  assert.ok(Math.abs(at(0.99) - 2 * at(0.9)) < 1e-9);
  assert.equal(at(1), 1, 'the slowest is at the end');
});

test('ratios are as far to the one side as to the other', () => {
  const { at } = symmetric(4);
  assert.ok(Math.abs(at(1) - 0.5) < 1e-9 && Math.abs(at(2) + at(0.5) - 1) < 1e-9);
  assert.deepEqual([at(0.25), at(4)], [0, 1]);
});

test('one factor is one chart with one curve', () => {
  const found = layout(reportOf([['responders', ['1', '4', '2']]]));
  assert.deepEqual(found?.axis.levels.map(({ value }) => value), [1, 2, 4]);
  assert.equal(found?.panels.length, 1);
  const [series] = seriesOf(found!.panels[0]!, 'requestsPerS');
  assert.deepEqual(series?.points.map(({ x, y }) => [x, y]), [[1, 100], [2, 102], [4, 101]]);
  assert.deepEqual(series?.points[0]?.values, [90, 100, 120]);
  assert.deepEqual(series?.expected, [{ x: 1, y: 200 }, { x: 2, y: 200 }, { x: 4, y: 200 }]);
  assert.deepEqual(seriesOf(found!.panels[0]!, 'cpu')[0]?.points, []);
});

test('two factors are curves of one chart, and a grid', () => {
  const report = reportOf([['requesters', ['1', '2', '4']], ['responders', ['1', '2']]]);
  const found = layout(report);
  assert.equal(found?.axis.factor, 'requesters');
  assert.deepEqual(found?.panels[0]?.curves.map(({ label }) => label), ['1 responder', '2 responders']);
  const [grid] = grids(report);
  assert.deepEqual(grid?.cells.map((row) => row.map((cell) => cell?.cell)), [[0, 2, 4], [1, 3, 5]]);
});

test('more factors are more charts, and the paired one is never the axis', () => {
  const three = reportOf([['requesters', ['1', '2', '4']], ['responders', ['1', '2']], ['dispatch', ['round-robin', 'least-busy']]], 'dispatch');
  const found = layout(three);
  assert.deepEqual(found?.panels.map(({ label }) => label), ['1 responder', '2 responders']);
  assert.deepEqual(found?.panels[0]?.curves.map(({ label }) => label), ['round-robin', 'least-busy']);
  assert.equal(grids(three).length, 2);
  const paired = reportOf([['window', ['1', '2', '4']], ['responders', ['1', '2']]], 'window');
  assert.equal(layout(paired)?.axis.factor, 'responders');
  const many = reportOf([['requesters', ['1', '2']], ['delay', Array.from({ length: 20 }, (_, at) => `uniform ${at}ms 1s`)], ['task', ['echo', 'cpu']]]);
  assert.deepEqual([layout(many)?.panels.length, layout(many)?.more], [12, 8]);
});

test('cases and words have no axis; rates, clients and fixed delays do', () => {
  assert.equal(layout(reportOf([['case', ['a', 'b']], ['socket', ['req', 'dealer']]])), undefined);
  const titles = (factor: Factor, levels: string[]): string | undefined => axes(reportOf([[factor, levels]]).plan)[0]?.title;
  assert.equal(titles('load', ['poisson 50/s', 'poisson 100/s']), 'requests offered per second');
  assert.equal(titles('load', ['closed 1', 'closed 8']), 'clients');
  assert.equal(titles('load', ['closed 1', 'poisson 8/s']), undefined);
  assert.equal(titles('load', ['closed 1 think 1s', 'closed 8 think 1s']), 'clients');
  assert.equal(titles('load', ['closed 1 think 1s', 'closed 8 think 2s']), undefined);
  assert.equal(titles('delay', ['none', 'fixed 1s']), 'delay, ms');
  assert.equal(titles('delay', ['none', 'uniform 1s 2s']), undefined);
});

test('names are those of the abstract', () => {
  const { plan } = reportOf([['responders', ['1']], ['delay', ['none']]]);
  assert.equal(cellName(plan, { delay: 'none', responders: '1' }), '1 responder, delay none');
  assert.equal(cellName(plan, {}), 'the only cell');
  assert.deepEqual([levelName('payload_bytes', '16'), levelName('fan_out', 'one')], ['payload bytes 16', 'fan out one']);
});

test('of many cells those shown are spread over all', () => {
  assert.deepEqual(spreadOut([1, 2, 3], 6), [1, 2, 3]);
  assert.deepEqual(spreadOut(Array.from({ length: 101 }, (_, at) => at), 5), [0, 25, 50, 75, 100]);
});

test('a ratio is better or worse by what its metric should be', () => {
  assert.equal(verdict('requestsPerS', { verdict: 'higher' }), 'better');
  assert.equal(verdict('p99', { verdict: 'higher' }), 'worse');
  assert.equal(verdict('p99', { verdict: 'lower' }), 'better');
  assert.deepEqual([verdict('p99', { verdict: 'alike' }), verdict('p99', { verdict: 'unclear' })], ['same', 'same']);
  assert.deepEqual([0.6412, 0.9734, 1.0042, 1, 12.34, 0].map(times), ['0.64×', '0.973×', '1.004×', '1.00×', '12.3×', '0×']);
  const old = { median: 1.5, low: 1.2, high: 1.8, coverage: 0.95, count: 6 } as unknown as Ratio;
  assert.deepEqual([valueOf(old), verdict('p99', old)], [1.5, 'same'], 'of a report of an earlier version');
  assert.deepEqual([bytes(52_000), bytes(31_240_000), bytes(2.5e9)], ['52 kB', '31.2 MB', '2.5 GB']);
});

test('a colour is as strong as its figure', () => {
  assert.deepEqual([strength(1, 1, 3), strength(2, 1, 3), strength(3, 1, 3), strength(5, 5, 5)], [0, 0.5, 1, 0.5]);
  assert.ok(Math.abs(strength(10, 1, 100) - 0.5) < 1e-9);
});

/** The keys that two siblings have. */
function keysTwice(node: unknown): unknown[] {
  if (Array.isArray(node)) {
    const keys = node.map((one) => (one as { key?: unknown } | null)?.key).filter((key) => key != null);
    return [...keys.filter((key, place) => keys.indexOf(key) !== place), ...node.flatMap(keysTwice)];
  }
  const props = (node as { props?: { children?: unknown } } | null)?.props;
  return props ? keysTwice(props.children) : [];
}

test('two parts of one kind are two elements', () => {
  const parts = ['first', 'second'].map((said) => ({ kind: 'all', size: 1, said }));
  assert.deepEqual(keysTwice(Bar({ most: 2, parts, expected: parts, text: '' })), []);
});
