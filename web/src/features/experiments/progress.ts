/** How far an experiment is, and how long it will take. */
import { duration } from '../../ui/format.ts';
import type { ExperimentView } from '../../wire.ts';

/** True while its process is there. */
export const isUnderWay = (view: ExperimentView | undefined): boolean =>
  view !== undefined && ['starting', 'running', 'stopping'].includes(view.state);

/** The part of the trial under way that is done, from 0 to 1. */
function partOfTrial({ trial }: ExperimentView): number {
  return trial?.elapsedMs && trial.totalMs ? Math.min(1, trial.elapsedMs / trial.totalMs) : 0;
}

/** The part of all trials that is done, from 0 to 1. */
export function partDone(view: ExperimentView): number {
  return view.trials > 0 ? Math.min(1, (view.ended + partOfTrial(view)) / view.trials) : 0;
}

/**
 * Milliseconds until the last trial ends: at the pace of those that have ended in this part of the run, and before the
 * first of them has, at the pace that the plan gives.
 */
export function timeLeft(view: ExperimentView, now: number): number {
  const left = Math.max(0, view.trials - view.ended - partOfTrial(view));
  const ended = view.ended - view.endedBefore;
  const spent = now - view.startedAt;
  const pace = ended > 0 ? spent / (ended + partOfTrial(view)) : view.trials > 0 ? view.timeMs / view.trials : 0;
  return left * pace;
}

/** A time that is only roughly known: 17 s, 4 min. */
export const roughly = (ms: number): string =>
  ms < 100_000 ? `${Math.ceil(ms / 1_000)} s` : duration(ms);

/** Levels as in "responders 4, load closed 8". */
export const levelsInWords = (levels: Record<string, string>): string =>
  Object.entries(levels)
    .map(([factor, level]) => `${factor.replaceAll('_', ' ')} ${level}`)
    .join(', ') || 'no factor varies';
