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
  ofExpected: Partial<Record<MetricName, number>>;
}

export interface Contrast {
  factor: Factor;
  base: string;
  level: string;
  others: Levels;
  ratios: Partial<Record<MetricName, Estimate>>;
}

export interface KneeFinding {
  others: Levels;
  points: { offered: number; achieved: number; p99Ms: number }[];
  knee: { sustained: number; beyond: number | null; limit: 'throughput' | 'latency' | null } | null;
  capacityPerS: number | null;
}

export interface Summary {
  abstract: { isWarning: boolean; text: string }[];
  trialsDone: number;
  trialsPlanned: number;
  cells: CellSummary[];
  contrasts: Contrast[];
  knees: KneeFinding[];
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
  cells: {
    levels: Levels;
    before: Figures;
    after: Figures;
    ratios: Partial<Record<MetricName, Estimate>>;
  }[];
  onlyBefore: string[];
  onlyAfter: string[];
  unlike: string[];
  broken: string[];
}

export type Data = ({ kind: 'report' } & Report) | ({ kind: 'comparison' } & Comparison) | { kind: 'nothing' };
