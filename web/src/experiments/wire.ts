/**
 * The server's JSON of experiments, as types. The Rust side of each is in `src/wire/experiment.rs` and `src/web/`.
 * Times are milliseconds since the epoch, names ending in `Us` are microseconds.
 */

export type ExperimentState = 'starting' | 'running' | 'stopping' | 'finished' | 'stopped' | 'failed';

/** A trial under way. */
export interface TrialView {
  /** From 0. */
  number: number;
  levels: Record<string, string>;
  /** From 0. */
  repetition: number;
  /** Of its load; null before that begins. */
  elapsedMs: number | null;
  totalMs: number | null;
  sent: number;
  ended: number;
  requestsPerS: number;
}

/** An experiment and how far it is. */
export interface ExperimentView {
  id: string;
  plan: string;
  target: string;
  state: ExperimentState;
  reason?: string;
  startedAt: number;
  endedAt?: number;
  trials: number;
  ended: number;
  /** Trials that ended before this part of the run began. */
  endedBefore: number;
  problems: number;
  /** The longest that all trials should take. */
  timeMs: number;
  trial?: TrialView;
}

/** A sentence of what a run shows. */
export interface Finding {
  isWarning: boolean;
  text: string;
}

/** A trial in a few figures. */
export interface TrialRow {
  /** From 0. */
  number: number;
  /** From 0. */
  repetition: number;
  levels: Record<string, string>;
  problem: string | null;
  behind: boolean;
  failed: number;
  requestsPerS: number;
  p50Us: number;
  p99Us: number;
}

/** A run of a plan that is kept. */
export interface RunView {
  id: string;
  plan: string;
  description: string;
  target: string;
  startedAt: number;
  finishedAt: number | null;
  /** Of the plan. */
  trials: number;
  ended: number;
  problems: number;
  requestsPerS: [number, number] | null;
  findings: Finding[];
  files: string[];
  /** Only of a run that was asked for by its id. */
  rows?: TrialRow[];
}

/** What the page needs to start an experiment. */
export interface ExperimentsOverview {
  plans: { name: string; description: string; text: string }[];
  targets: { name: string; /** Why it can't be used from here. */ refused: string | null }[];
  dir: string;
  /** Why no run can be kept. */
  unwritable: string | null;
}

/** What a plan comes to. */
export type PlanCheck =
  | { trials: number; timeMs: number; problem?: undefined }
  | { problem: { line: number | null; message: string } };
