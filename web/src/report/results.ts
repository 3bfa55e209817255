/** What the program writes into the page: see docs/experiments.md. */

export type MetricName =
  | 'requestsPerS'
  | 'messagesPerS'
  | 'mean'
  | 'p50'
  | 'p90'
  | 'p95'
  | 'p99'
  | 'p999'
  | 'max'
  | 'cpu'
  | 'memory'
  | 'errors';

export type Factor = string;
export type Levels = Partial<Record<Factor, string>>;
export type HopName = 'queued' | 'wire' | 'broker' | 'service' | 'total';

/** A median with a confidence interval. */
export interface Estimate {
  median: number;
  low: number;
  high: number;
  /** How likely such an interval holds the true median. */
  coverage: number;
  count: number;
}

export type Verdict = 'higher' | 'lower' | 'alike' | 'unclear';

/** The ratio of a second group of trials to a first. */
export interface Ratio {
  ratio?: number;
  /** In place of the ratio, in reports of earlier versions. */
  median?: number;
  low: number;
  high: number;
  /** How likely such an interval holds the true ratio: 0 of a single repetition. */
  coverage: number;
  count: number;
  /** The chance of such a ratio without a difference; that of judged ones is corrected for how many there are. */
  p: number;
  verdict: Verdict;
  /** Repetitions that would find a difference of 5 %. */
  needed: number | null;
}

export interface Figure extends Estimate {
  values: number[];
}

export type Figures = Partial<Record<MetricName, Figure>>;

export interface Range {
  median: number;
  low: number;
  high: number;
}

export interface Formula {
  name: string;
  measure: 'mean-wait' | 'mean-latency' | 'throughput';
  value: number;
  simulated: number;
  exact: boolean;
}

export interface Expected {
  figures: Partial<Record<MetricName, Range>>;
  utilisation: number;
  capacityPerS: number | null;
  saturated: boolean;
  laneWaitMs: number;
  brokerWaitMs: number;
  serviceMs: number;
  formulas: Formula[];
}

export interface Usage {
  tiers: string[];
  processes: number;
  cpuUsPerMessage: number;
  residentBytes: number;
}

export interface CellSummary {
  cell: number;
  trials: number;
  fewestRequests: number;
  figures: Figures;
  requests: { sent: number; complete: number; failed: number; refused: number };
  messages: { responses: number; errors: number; timeouts: number };
  errors: Record<string, number>;
  percentiles: { share: number; us: number }[];
  hops: Partial<Record<HopName, number>>;
  responders: number[];
  nodes: Record<string, number>;
  usage: Usage[];
  problems: string[];
  unbalanced: number;
  behind: number;
  expected: Expected | null;
  expectedNone: string | null;
  /** Measured by expected, within each repetition. */
  byExpected?: Partial<Record<MetricName, Estimate>>;
  /** Why trials had no steady state. */
  unsteady?: string[];
  /** More was asked than could be done. */
  isOverloaded?: boolean;
}

export interface Contrast {
  factor: Factor;
  base: string;
  level: string;
  others: Levels;
  ratios: Partial<Record<MetricName, Ratio>>;
}

export interface Knee {
  sustained: number;
  /** Of the knee's interval; null where chance explains every rate. */
  atLeast?: number | null;
  atMost?: number;
  beyond: number | null;
  limit: 'throughput' | 'latency' | null;
}

export interface KneeFinding {
  others: Levels;
  points: { offered: number; achieved: number; p99Ms: number }[];
  knee: Knee | null;
  capacityPerS: number | null;
}

export interface Summary {
  abstract: { isWarning: boolean; text: string }[];
  trialsDone: number;
  trialsPlanned: number;
  cells: CellSummary[];
  contrasts: Contrast[];
  knees: KneeFinding[];
  /** What the machine did during the trials: names, and the least and the most of any trial. */
  conditions?: [string, string][];
}

export interface Plan {
  name: string;
  description: string;
  target: string;
  url: string | null;
  factors: [Factor, string[]][];
  cells: { levels: Levels; setup: Record<string, unknown> }[];
  repetitions: number;
  order: string;
  seed: number;
  warmUpMs: number;
  durationMs: number;
  count: number | null;
  pair: Factor | null;
  timeoutMs: number;
  settings: Record<string, string>;
}

export interface Environment {
  version: string;
  host: string;
  system: string;
  architecture: string;
  processor: string;
  cores: number;
  memoryBytes: number;
  commit?: string;
  build?: string;
  isVirtual?: boolean;
  governor?: string;
  cpuLimit?: number | null;
  memoryLimitBytes?: number | null;
  loadAverage: number;
  nodes: string[];
}

/** A run, as far as it is. */
export interface Report {
  plan: Plan;
  environment: Environment;
  startedAt: number;
  finishedAt: number | null;
  summary: Summary;
}

export interface Side {
  plan: string;
  target: string;
  startedAt: number;
  environment: Environment;
}

export interface Comparison {
  before: Side;
  after: Side;
  /** Trials of the same repetition are compared with one another. */
  isPaired: boolean;
  /** Runs that show how much runs of the first program differ. */
  aaRuns: number;
  cells: {
    levels: Levels;
    before: Figures;
    after: Figures;
    ratios: Partial<Record<MetricName, Ratio>>;
  }[];
  onlyBefore: string[];
  onlyAfter: string[];
  unlike: string[];
  broken: string[];
}

export type Data = ({ kind: 'report' } & Report) | ({ kind: 'comparison' } & Comparison) | { kind: 'nothing' };
