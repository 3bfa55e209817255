/** How a plan's cells are laid out: what goes along an axis, what is a curve, what is a chart of its own. */
import { plural } from '../ui/format.ts';
import type { Cell, CellSummary, Factor, Plan, Report } from '../wire.ts';

export type Levels = Cell['levels'];

/** Charts that are drawn beside one another; more are left to the table. */
export const MOST_CHARTS = 12;

/** Curves of one chart. */
export const MOST_CURVES = 6;

export interface Axis {
  factor: Factor;
  title: string;
  levels: { text: string; value: number }[];
}

export interface Curve {
  label: string;
  /** One for each level of the axis that has figures, in the axis's order. */
  points: { x: number; cell: CellSummary }[];
}

export interface Panel {
  /** What the cells of this chart have in common; empty for the only one. */
  label: string;
  curves: Curve[];
}

export interface Layout {
  axis: Axis;
  panels: Panel[];
  /** Charts there would be beside those. */
  more: number;
}

/** A factor in words. */
export const factorName = (factor: Factor): string => factor.replaceAll('_', ' ');

/** A level in words: "4 responders", "delay none", the case's own name. */
export function levelName(factor: Factor, level: string): string {
  const name = factorName(factor);
  if (['case', 'load', 'dispatch'].includes(factor)) return level;
  if (/^\d+$/.test(level) && name.endsWith('s') && factor !== 'payload_bytes')
    return plural(Number(level), name.slice(0, -1));
  return `${name} ${level}`;
}

/** Levels in words, in the plan's order of factors. */
export function cellName(plan: Plan, levels: Levels): string {
  const known = plan.factors.map(([factor]) => factor).filter((factor) => levels[factor] !== undefined);
  return known.map((factor) => levelName(factor, levels[factor] ?? '')).join(', ') || 'the only cell';
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, min: 60_000 };

/** A level as a number, where all levels of the factor are of one kind. */
function numbers(factor: Factor, levels: string[]): number[] | undefined {
  const read = (pattern: RegExp): number[] | undefined => {
    const found = levels.map((level) => pattern.exec(level)?.[1]);
    return found.every((text) => text !== undefined) ? found.map(Number) : undefined;
  };
  if (factor === 'load') {
    const thinking = new Set(levels.map((level) => level.replace(/^closed \d+/, '')));
    const clients = thinking.size === 1 ? read(/^closed (\d+)(?: think .+)?$/) : undefined;
    return clients ?? read(/^(?:constant|poisson) ([\d.]+)(?:\/s)?$/);
  }
  if (factor === 'delay') {
    const found = levels.map((level) => {
      const [, value, unit] = /^fixed (\d+)(ms|s|min|m)$/.exec(level) ?? [];
      return level === 'none' ? 0 : Number(value) * (UNITS_MS[unit ?? ''] ?? NaN);
    });
    return found.every(Number.isFinite) ? found : undefined;
  }
  return read(/^([\d.]+)$/);
}

/** A factor with numbers for levels as an axis; undefined for others. */
export function axisOf(plan: Plan, factor: Factor): Axis | undefined {
  const levels = plan.factors.find(([known]) => known === factor)?.[1] ?? [];
  const values = numbers(factor, levels);
  if (!values || levels.length < 2) return undefined;
  const title =
    factor === 'load'
      ? levels[0]?.startsWith('closed')
        ? 'clients'
        : 'requests offered per second'
      : factor === 'delay'
        ? 'delay, ms'
        : factorName(factor);
  const told = levels.map((text, index) => ({ text, value: values[index] ?? 0 }));
  return { factor, title, levels: told.sort((a, b) => a.value - b.value) };
}

/** Factors that can be an axis, the one that says most first: rates, then most levels; not the one that is paired. */
export function axes(plan: Plan): Axis[] {
  const found = plan.factors.flatMap(([factor]) => axisOf(plan, factor) ?? []);
  const rank = ({ factor, levels, title }: Axis): number =>
    (title.startsWith('requests') ? 1_000 : 0) + levels.length - (factor === plan.pair ? 500 : 0);
  return found.sort((a, b) => rank(b) - rank(a));
}

/** Each combination of some factors' levels that there is, with its cells. */
function groups(report: Report, factors: Factor[], cells: CellSummary[]): { levels: Levels; cells: CellSummary[] }[] {
  const found = new Map<string, { levels: Levels; cells: CellSummary[] }>();
  for (const cell of cells) {
    const all = report.plan.cells[cell.cell]?.levels ?? {};
    const levels = Object.fromEntries(factors.map((factor) => [factor, all[factor]])) as Levels;
    const key = JSON.stringify(levels);
    const group = found.get(key) ?? { levels, cells: [] };
    group.cells.push(cell);
    found.set(key, group);
  }
  return [...found.values()];
}

/** The cells as curves over a numeric factor; undefined where no factor is numeric. */
export function layout(report: Report): Layout | undefined {
  const { plan, summary } = report;
  const axis = axes(plan)[0];
  if (!axis) return undefined;
  const rest = plan.factors.filter(([factor]) => factor !== axis.factor);
  const fits = rest.filter(([, levels]) => levels.length <= MOST_CURVES);
  const curveFactor = (fits.find(([factor]) => factor === plan.pair) ?? fits.sort((a, b) => b[1].length - a[1].length)[0])?.[0];
  const panelFactors = rest.map(([factor]) => factor).filter((factor) => factor !== curveFactor);
  const value = (cell: CellSummary): number => {
    const level = plan.cells[cell.cell]?.levels[axis.factor];
    return axis.levels.find(({ text }) => text === level)?.value ?? 0;
  };
  const panels = groups(report, panelFactors, summary.cells).map(({ levels, cells }) => ({
    label: panelFactors.length > 0 ? cellName(plan, levels) : '',
    curves: groups(report, curveFactor ? [curveFactor] : [], cells).map((group) => ({
      label: curveFactor ? levelName(curveFactor, group.levels[curveFactor] ?? '') : 'measured',
      points: group.cells
        .filter((cell) => cell.trials > 0)
        .map((cell) => ({ x: value(cell), cell }))
        .sort((a, b) => a.x - b.x),
    })),
  }));
  return { axis, panels: panels.slice(0, MOST_CHARTS), more: Math.max(0, panels.length - MOST_CHARTS) };
}

export interface Grid {
  label: string;
  columns: Axis;
  rows: Axis;
  /** By row and column; undefined where there is no such cell. */
  cells: (CellSummary | undefined)[][];
}

/** Two numeric factors as grids, one for each combination of the others. */
export function grids(report: Report): Grid[] {
  const { plan, summary } = report;
  const [columns, rows] = axes(plan);
  if (!columns || !rows) return [];
  const others = plan.factors.map(([factor]) => factor).filter((one) => one !== columns.factor && one !== rows.factor);
  return groups(report, others, summary.cells)
    .slice(0, MOST_CHARTS)
    .map(({ levels, cells }) => ({
      label: others.length > 0 ? cellName(plan, levels) : '',
      columns,
      rows,
      cells: rows.levels.map((row) =>
        columns.levels.map((column) =>
          cells.find(({ cell }) => {
            const at = plan.cells[cell]?.levels;
            return at?.[rows.factor] === row.text && at[columns.factor] === column.text;
          }),
        ),
      ),
    }));
}

/** Cells for a chart that has room for few: spread evenly, the first and the last among them. */
export function spreadOut<T>(all: T[], most: number): T[] {
  if (all.length <= most) return all;
  const at = (index: number): number => Math.round((index * (all.length - 1)) / (most - 1));
  return [...new Set(Array.from({ length: most }, (_, index) => at(index)))].flatMap((index) => all[index] ?? []);
}
