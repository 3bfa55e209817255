/** The server's JSON, as types. Generated from its OpenAPI description: docs/architecture.md says how. */

/**
 * An error response.
 */
export type ApiError = Problem & {
  /**
   * The id of the request that the error is about, if any.
   */
  requestId?: string;
};
/**
 * The kind of an error reply or HTTP error.
 */
export type ErrorCode =
  | 'bad-request'
  | 'not-found'
  | 'method-not-allowed'
  | 'not-acceptable'
  | 'too-large'
  | 'unsupported-media-type'
  | 'unprocessable'
  | 'request-timeout'
  | 'overloaded'
  | 'draining'
  | 'timeout'
  | 'task-failed'
  | 'panicked'
  | 'lost'
  | 'not-connected'
  | 'conflict'
  | 'forbidden'
  | 'internal';
export type Tier = 'web' | 'requester' | 'broker' | 'responder';
/**
 * Who caused an event.
 */
export type By =
  | {
      /**
       * Where the call came from: the last proxy, if there is one.
       */
      address: string;
      /**
       * Where the first proxy says that it came from.
       */
      forwardedFor?: string;
      type: 'call';
    }
  | {
      run: string;
      type: 'experiment';
    };
/**
 * Distribution of the delay before each task.
 */
export type DelayShape = 'none' | 'fixed' | 'uniform' | 'exponential' | 'log-normal';
/**
 * How the broker chooses a worker: each in turn, or one that is idle.
 */
export type Dispatch = 'round-robin' | 'least-busy';
/**
 * Which requester workers send a message for a request.
 */
export type FanOut = 'all' | 'one';
/**
 * The ZeroMQ socket of a requester worker.
 */
export type Socket = 'req' | 'dealer';
/**
 * What a responder does with a message: reads a file, sends the message back, or hashes.
 */
export type TaskName = 'file' | 'echo' | 'cpu';
/**
 * The figure that a formula gives.
 */
export type Measure = 'mean-wait' | 'mean-latency' | 'throughput';
/**
 * The verdict on a ratio.
 */
export type RatioVerdict = 'higher' | 'lower' | 'alike' | 'unclear';
/**
 * Where trials run.
 */
export type Target = 'in-process' | 'processes' | 'swarm' | 'running';
/**
 * A property that trials vary. `Case` stands for several factors that change together.
 */
export type Factor =
  | 'case'
  | 'requester_instances'
  | 'requesters'
  | 'responder_instances'
  | 'responders'
  | 'delay'
  | 'task'
  | 'rounds'
  | 'fan_out'
  | 'dispatch'
  | 'socket'
  | 'window'
  | 'payload_bytes'
  | 'load';
/**
 * A message to a dashboard: a snapshot first, then batches of events.
 */
export type DashboardMessage =
  | {
      /**
       * The experiment that this web tier runs, or ran last.
       */
      experiment: ExperimentView | null;
      figures: Figures;
      /**
       * The latest 200 events of the log, oldest first.
       */
      history: LoggedEvent[];
      load: LoadView;
      /**
       * Milliseconds since the epoch.
       */
      now: number;
      /**
       * The page that this server serves: the program's version, `+`, and a digest of the page. None: it serves none.
       */
      page: string | null;
      /**
       * Newest first.
       */
      requests: RequestView[];
      /**
       * Number of older requests that are left out for lack of space.
       */
      requestsLeftOut: number;
      /**
       * Oldest first.
       */
      samples: Sample[];
      /**
       * Number of the last batch that the snapshot includes.
       */
      seq: number;
      settings: PageSettings;
      topology: Topology;
      type: 'snapshot';
      /**
       * Of the program.
       */
      version: string;
    }
  | {
      events: Event[];
      /**
       * The latest 200 new events of the log, oldest first; left out where there is none.
       */
      history?: LoggedEvent[];
      load: LoadView;
      /**
       * Milliseconds since the epoch.
       */
      now: number;
      /**
       * One more than in the last message.
       */
      seq: number;
      /**
       * Where they have changed.
       */
      settings?: PageSettings;
      type: 'events';
    };
export type ExperimentState = 'starting' | 'running' | 'stopping' | 'finished' | 'stopped' | 'failed';
/**
 * What has happened.
 */
export type EventKind =
  | 'instance-came'
  | 'instance-left'
  | 'instance-lost'
  | 'worker-panicked'
  | 'worker-failed'
  | 'worker-restarted'
  | 'scaled'
  | 'delay-changed'
  | 'dispatch-changed'
  | 'faults-changed'
  | 'load-started'
  | 'load-ended'
  | 'experiment-started'
  | 'experiment-ended'
  | 'link-found'
  | 'link-lost';
/**
 * A responder's reply to a message, or the requester's if there was none.
 */
export type Reply = {
  attempt?: number;
  body: string;
  /**
   * The full length of the body in bytes, if `body` was shortened.
   */
  bodyBytes?: number;
  code?: ErrorCode;
  /**
   * Details of an error whose body has the text of the article's program.
   */
  detail?: string;
  filename?: string;
  messageId: string;
  /**
   * The host that the responder ran on.
   */
  node?: string;
  requestId: string;
  requestedAt: number;
  requesterId: string;
  respondedAt: number;
  /**
   * Unique per responder worker across the deployment; -1 if no responder replied.
   */
  responderId: number;
  responseType: ResponseType;
  service?: string;
  slot?: string;
  task?: string;
  timings?: Timings;
};
export type ResponseType = 'Response' | 'Error';
export type RequestStatus = 'pending' | 'complete' | 'failed';
export type InstanceView = Snapshot & {
  /**
   * Time of its last snapshot, or of its end, in milliseconds since the epoch by the web tier's clock.
   */
  seenAt: number;
};
export type InstanceState = 'starting' | 'ready' | 'draining' | 'gone';
export type WorkerState = 'starting' | 'idle' | 'busy' | 'restarting' | 'draining' | 'gone';
export type LinkState = 'connecting' | 'connected' | 'draining' | 'disconnected';
/**
 * An event of the deployment. Times are milliseconds since the epoch.
 */
export type Event =
  | {
      snapshot: Snapshot;
      type: 'instance';
    }
  | {
      at: number;
      id: string;
      reason: string;
      type: 'instance-gone';
    }
  | {
      at: number;
      instance: string;
      reason?: string;
      type: 'worker';
      worker: WorkerView;
    }
  | {
      address: string;
      at: number;
      /**
       * The web instance's id.
       */
      instance: string;
      reason?: string;
      state: LinkState;
      type: 'link';
    }
  | {
      at: number;
      fanOut: FanOut;
      links: number;
      requestId: string;
      task: string | null;
      timeoutMs: number | null;
      type: 'request';
    }
  | {
      accepted: Accepted;
      at: number;
      requestId: string;
      type: 'accepted';
    }
  | {
      at: number;
      attempt: number;
      broker: string;
      instance: string;
      messageId: string;
      requestId: string;
      requesterId: string;
      type: 'dispatched';
    }
  | {
      at: number;
      attempt: number;
      messageId?: string;
      reason: string;
      requestId: string;
      type: 'retry';
    }
  | {
      at: number;
      reply: Reply;
      type: 'reply';
    }
  | {
      at: number;
      messageId: string;
      reason: string;
      requestId: string;
      type: 'lost';
    }
  | {
      at: number;
      counts: OutcomeCounts;
      reason?: string;
      requestId: string;
      status: RequestStatus;
      /**
       * From acceptance to the last reply.
       */
      totalUs: number;
      type: 'outcome';
    }
  | {
      sample: Sample;
      type: 'sample';
    }
  | {
      figures: Figures;
      type: 'figures';
    }
  | {
      experiment: ExperimentView;
      type: 'experiment';
    };
/**
 * A figure over repetitions.
 */
export type Figure = Estimate & {
  /**
   * A percentile that some of the trials had too few requests for: there it is just the slowest one.
   */
  isFew?: boolean;
  /**
   * The figure of each trial, in the order in which they ran.
   */
  values: number[];
};
/**
 * A hop of a message's way, or all of it.
 */
export type Hop = 'queued' | 'wire' | 'broker' | 'service' | 'total';
/**
 * Why a rate can't be sustained.
 */
export type Limit = 'throughput' | 'latency';
/**
 * One figure of a trial.
 */
export type Metric =
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
/**
 * The order of the trials.
 */
export type Order = 'shuffled' | 'interleaved' | 'sequential';
/**
 * The data embedded in a page of results.
 */
export type PageData =
  | (Report & {
      kind: 'report';
    })
  | (Comparison & {
      kind: 'comparison';
    });
/**
 * The result of checking a plan.
 */
export type Verdict =
  | {
      plan: Plan;
      /**
       * Estimated maximum time of all trials, in milliseconds.
       */
      timeMs: number;
      trials: number;
    }
  | {
      problem: PlanProblem;
    };

/**
 * The messages of a request, reported before the first one is sent.
 */
export interface Accepted {
  /**
   * The requester instance's id.
   */
  instance: string;
  messages: MessageRef[];
}
/**
 * A message that the requester has accepted.
 */
export interface MessageRef {
  messageId: string;
  requesterId: string;
}
/**
 * An error, in the format of every API of the program.
 */
export interface Problem {
  code: ErrorCode;
  /**
   * What is wrong, where it came from, and what to do.
   */
  message: string;
}
/**
 * What limits a deployment's capacity.
 */
export interface Bottleneck {
  /**
   * Messages that it can have under way at one time: workers of responders, windows of requester workers.
   */
  atOnce: number;
  /**
   * The instance's id where a single one is the limit.
   */
  instance: string | null;
  /**
   * One sentence with the figures.
   */
  text: string;
  tier: Tier;
  /**
   * Mean time for which a message takes one of these places, in milliseconds.
   */
  timeMs: number;
}
/**
 * A combination of levels, one of each factor.
 */
export interface Cell {
  /**
   * The factors that vary, each with its level as the plan gives it.
   */
  levels: Partial<Record<Factor, string>>;
  setup: Setup;
}
/**
 * A deployment and its load: a level of every factor.
 */
export interface Setup {
  /**
   * Brokers in processes of their own, as found in a running deployment. 0: each responder instance has its own broker.
   */
  brokersApart?: number;
  delay: Delay;
  dispatch: Dispatch;
  fanOut: FanOut;
  load: string;
  /**
   * Payload of the `echo` task, in bytes.
   */
  payloadBytes: number;
  requesterInstances: number;
  /**
   * Workers of each instance.
   */
  requesters: number;
  responderInstances: number;
  /**
   * Workers of each instance.
   */
  responders: number;
  /**
   * Rounds of hashing of the `cpu` task.
   */
  rounds: number;
  socket: Socket;
  task: TaskName;
  /**
   * Maximum messages in flight per requester worker with a DEALER. A REQ has 1.
   */
  window: number;
}
/**
 * The delay before each task. Times in milliseconds, fractions included, up to ten minutes; exact to the nanosecond.
 */
export interface Delay {
  /**
   * Longest delay drawn from `exponential` and `log-normal`: a longer one becomes this. None: in a control call, the
   * present cap or the mean, whichever is longer; elsewhere a minute or the mean.
   */
  capMs?: number;
  kind: DelayShape;
  /**
   * Longest of `uniform`.
   */
  maxMs: number;
  /**
   * The delay of `fixed`; the mean of `exponential` and `log-normal`, before the cap.
   */
  meanMs: number;
  /**
   * Shortest of `uniform`.
   */
  minMs: number;
  /**
   * Shape of `log-normal`, above 0 and up to 3.
   */
  sigma: number;
}
/**
 * Summary of a cell's trials.
 */
export interface CellSummary {
  /**
   * Trials whose load generator fell behind.
   */
  behind: number;
  /**
   * Measured by expected within each repetition, whose simulated trial has the same arrivals.
   */
  byExpected?: Partial<Record<Metric, Estimate>>;
  /**
   * Index of the plan's cell.
   */
  cell: number;
  /**
   * Number of errors by code or message.
   */
  errors: {
    [k: string]: number;
  };
  /**
   * None: there is no expectation; `expected_none` has the reason.
   */
  expected: Expected | null;
  expectedNone: string | null;
  figures: Partial<Record<Metric, Figure>>;
  /**
   * Mean latency of the second half of the measured time by that of the first, within each trial. None: too few requests.
   */
  halves: Ratio | null;
  /**
   * A message's mean time in each hop, in milliseconds.
   */
  hops: Partial<Record<Hop, number>>;
  /**
   * More was asked than could be done, so that latencies grew as long as the trials lasted.
   */
  isOverloaded?: boolean;
  /**
   * The halves differ by more than chance explains and by more than 10 %: latencies depend on warm-up and duration.
   */
  isUnsteady?: boolean;
  messages: OutcomeCounts;
  /**
   * The mean share of each host.
   */
  nodes: {
    [k: string]: number;
  };
  /**
   * The latencies of all trials together, from the fastest request to the slowest.
   */
  percentiles: Percentile[];
  /**
   * Why trials have no figures, or a ledger that does not balance.
   */
  problems: string[];
  requests: RequestCounts;
  /**
   * Mean share of the messages by rank of responder worker, the busiest first. By rank, because trials may have different
   * workers.
   */
  responders: number[];
  /**
   * Number of trials that have figures. The fields below are about these.
   */
  trials: number;
  usage: UsageSummary[];
}
/**
 * The expected figures of a cell, without the overhead of processes, network and scheduler.
 */
export interface Expected {
  /**
   * A message's mean wait at the broker, in milliseconds.
   */
  brokerWaitMs: number;
  /**
   * Messages per second. None: unbounded.
   */
  capacityPerS: number | null;
  /**
   * Milliseconds of load after which the simulated trials ended, if they are shorter than the real ones.
   */
  cutAfterMs: number | null;
  /**
   * The median of the simulated trials, and the range of nine in ten medians of as many trials as the plan has repetitions.
   * Excludes metrics that are unbounded because nothing takes time.
   */
  figures: Partial<Record<Metric, Range>>;
  formulas: Formula[];
  /**
   * A message's mean wait in the requester, in milliseconds.
   */
  requesterWaitMs: number;
  /**
   * The offered load is above capacity.
   */
  saturated: boolean;
  /**
   * A message's mean service time, in milliseconds.
   */
  serviceMs: number;
  /**
   * Number of simulated trials.
   */
  trials?: number;
  /**
   * Utilisation of the responder workers, from 0 to 1.
   */
  utilisation: number;
}
/**
 * A figure by formula, with the simulated one.
 */
export interface Formula {
  /**
   * Formula and simulation differ by more than chance, and by more than 1 %.
   */
  disagrees?: boolean;
  /**
   * False for an approximation.
   */
  exact: boolean;
  measure: Measure;
  /**
   * Such as `M/M/c`.
   */
  name: string;
  /**
   * The mean of the simulated trials.
   */
  simulated: number;
  /**
   * Standard error of that mean; 0 for one trial.
   */
  standardError?: number;
  value: number;
}
/**
 * The ratio of a second group of trials to a first.
 */
export interface Ratio {
  /**
   * Number of pairs, or of trials in the smaller group.
   */
  count: number;
  /**
   * The probability that such an interval contains the true ratio: 95 %, or 0 if there is no interval.
   */
  coverage: number;
  high: number;
  low: number;
  /**
   * Repetitions that would find a difference of 5 % in 80 % of the runs. `None` if more repetitions do not help.
   */
  needed: number | null;
  /**
   * The probability of a ratio at least as far from 1 if the groups do not differ, corrected for the number of judged ratios.
   */
  p: number;
  /**
   * The ratio of the geometric means, second group / first group.
   */
  ratio: number;
  verdict: RatioVerdict;
}
/**
 * How the messages of a request ended.
 */
export interface OutcomeCounts {
  errors: number;
  responses: number;
  timeouts: number;
}
/**
 * A point of the latency's distribution.
 */
export interface Percentile {
  /**
   * 0 to 1.
   */
  share: number;
  us: number;
}
/**
 * What became of the requests that count.
 */
export interface RequestCounts {
  /**
   * Ended with all replies, none of them an error.
   */
  complete: number;
  /**
   * Ended with an error or a timeout among the replies, or without any.
   */
  failed: number;
  /**
   * Not taken on by the web tier: overloaded.
   */
  refused: number;
  sent: number;
}
/**
 * Median resource usage of the processes of one tier.
 */
export interface UsageSummary {
  cpuUsPerMessage: number;
  processes: number;
  residentBytes: number;
  tiers: Tier[];
}
/**
 * The ids of the instances that were changed.
 */
export interface Changed {
  instances: string[];
}
/**
 * A cell of both runs.
 */
export interface ComparedCell {
  after: Partial<Record<Metric, Figure>>;
  before: Partial<Record<Metric, Figure>>;
  levels: Partial<Record<Factor, string>>;
  /**
   * Ratios of the second run to the first: above 1 if the second has more. Those of [`Metric::JUDGED`] have a verdict,
   * CPU and memory only beside A/A runs: within one run they hardly vary.
   */
  ratios: Partial<Record<Metric, Ratio>>;
}
/**
 * A comparison of two runs.
 */
export interface Comparison {
  /**
   * Number of further runs of the first one's program and plan, of which the spread is part of the intervals (A/A). With
   * none, the intervals hold for these two runs.
   */
  aaRuns: number;
  after: Side;
  before: Side;
  /**
   * Descriptions of the broken rules.
   */
  broken: string[];
  /**
   * Cells that both runs have, in the first one's order.
   */
  cells: ComparedCell[];
  /**
   * Trials of the same repetition are compared with one another: they have the same seeds, and so the same arrivals.
   */
  isPaired: boolean;
  onlyAfter: string[];
  /**
   * Labels of the cells that only one of the runs has.
   */
  onlyBefore: string[];
  /**
   * Other differences between the runs: settings, machine, duration. They may explain differing figures.
   */
  unlike: string[];
}
/**
 * One of the two runs.
 */
export interface Side {
  environment: Environment;
  plan: string;
  /**
   * Milliseconds since the epoch.
   */
  startedAt: number;
  target: Target;
}
/**
 * What the figures were measured on.
 */
export interface Environment {
  architecture: string;
  /**
   * `release` or `debug`.
   */
  build?: string;
  /**
   * The command line of this process, its secrets hidden. Trials' deployments read no settings from the environment.
   */
  command?: string[];
  /**
   * The commit that swarmq was built from, if `SWARMQ_COMMIT` told it to the build; otherwise empty.
   */
  commit?: string;
  cores: number;
  /**
   * Cores that the control group of this process may use.
   */
  cpuLimit: number | null;
  /**
   * What sets the processor's frequency; empty where the kernel does not tell it.
   */
  governor?: string;
  /**
   * The host that made the load.
   */
  host: string;
  /**
   * The processor says that it is a hypervisor's.
   */
  isVirtual?: boolean;
  /**
   * Load average of the last minute, when the experiment began: above 0 on a machine that has other work.
   */
  loadAverage: number;
  memoryBytes: number;
  memoryLimitBytes: number | null;
  /**
   * Nodes of the deployment, as of the last trial.
   */
  nodes: string[];
  processor: string;
  /**
   * Operating system and kernel.
   */
  system: string;
  /**
   * True if the processor may exceed its nominal frequency (turbo). None if the kernel does not report it.
   */
  turbo: boolean | null;
  /**
   * Of swarmq.
   */
  version: string;
}
/**
 * Why a connection could not be made, in the format of Node.js's error, which the article's page shows.
 */
export interface ConnectFailure {
  address: string;
  code: string;
  errno: number;
  /**
   * A reason without a code in Node.js, such as the one that the requester gave before it closed the connection.
   */
  message?: string;
  port: number;
  syscall: string;
}
/**
 * Whether the web tier is connected to requesters.
 */
export interface Connection {
  connected: boolean;
  /**
   * A text that names the requester.
   */
  msg: string;
}
/**
 * A level of the paired factor, compared with its first level; the other factors are equal.
 */
export interface Contrast {
  /**
   * The first level, the base of the ratios.
   */
  base: string;
  factor: Factor;
  level: string;
  /**
   * The levels of the other factors.
   */
  others: Partial<Record<Factor, string>>;
  /**
   * Ratios within each repetition: above 1 if the level has more than the base.
   */
  ratios: Partial<Record<Metric, Ratio>>;
}
/**
 * Whether controls are permitted.
 */
export interface ControlAccess {
  needsToken: boolean;
  permitted: boolean;
}
/**
 * An experiment and its progress.
 */
export interface ExperimentView {
  /**
   * Trials that have ended, including those before the run was resumed.
   */
  ended: number;
  endedAt?: number;
  /**
   * Trials completed before the run was resumed.
   */
  endedBefore: number;
  /**
   * Name of the run, and of its folder.
   */
  id: string;
  /**
   * Name of its plan.
   */
  plan: string;
  /**
   * Trials that failed or are not valid.
   */
  problems: number;
  /**
   * Why it failed.
   */
  reason?: string;
  /**
   * In milliseconds since the epoch.
   */
  startedAt: number;
  state: ExperimentState;
  /**
   * Target of its trials.
   */
  target: string;
  /**
   * Expected maximum time of all trials, in milliseconds.
   */
  timeMs: number;
  /**
   * The trial under way.
   */
  trial?: TrialView;
  /**
   * Trials of the plan.
   */
  trials: number;
}
/**
 * A trial under way.
 */
export interface TrialView {
  /**
   * Milliseconds of load so far, and in total; none before the load begins.
   */
  elapsedMs: number | null;
  ended: number;
  /**
   * The factors that vary, each with its level.
   */
  levels: {
    [k: string]: string;
  };
  /**
   * Place in the plan's order, from 0.
   */
  number: number;
  /**
   * From 0.
   */
  repetition: number;
  /**
   * Recent requests per second.
   */
  requestsPerS: number;
  /**
   * Requests sent, and ended.
   */
  sent: number;
  totalMs: number | null;
}
/**
 * The figures of the whole deployment, as one web instance knows them.
 */
export interface Figures {
  /**
   * When they were made, in milliseconds since the epoch.
   */
  at: number;
  /**
   * What limits `capacity_per_s`.
   */
  bottleneck: Bottleneck | null;
  /**
   * Messages a second that could end as responses without a queue that grows, with the workers, delays and faults in effect.
   * None: not known, as messages take less than a millisecond or an instance of an earlier version does not report enough.
   */
  capacityPerS: number | null;
  /**
   * Messages that a request to all requester workers makes.
   */
  messagesPerRequest: number;
  nodes: NodeFigures[];
  /**
   * Messages a second that requesters accepted.
   */
  offeredPerS: number;
  /**
   * Of the living instances, by id: requests a second of a web instance, messages a second of the others.
   */
  rates: {
    [k: string]: number;
  };
  /**
   * Requests that web instances accepted. Never falls.
   */
  requests: number;
  /**
   * Messages a second that ended as responses.
   */
  servedPerS: number;
  /**
   * Since when `requests` and the `ledger` of each tier count: this web instance's start, in milliseconds since the epoch.
   */
  since: number;
  /**
   * Every tier, in the order in which a request passes them.
   */
  tiers: TierFigures[];
}
/**
 * Resource usage on a node, of the processes of this deployment.
 */
export interface NodeFigures {
  /**
   * CPU seconds a second: 1.0 is one core. None where no process reports it, or not twice yet.
   */
  cpus: number | null;
  /**
   * Living instances.
   */
  instances: number;
  node: string;
  /**
   * Resident memory, in bytes. None where no process reports it.
   */
  residentBytes: number | null;
}
/**
 * The figures of a tier.
 */
export interface TierFigures {
  /**
   * Every instance's sent = responses + errors + timeouts + in flight or lost.
   */
  balanced: boolean;
  /**
   * Living instances.
   */
  instances: number;
  ledger: Ledger;
  /**
   * Messages that were in flight in instances that have ended, as far as these had reported. Falls when an instance that was
   * silent is back.
   */
  lost: number;
  /**
   * The instances with which most recently something was lost, latest first.
   */
  lostWith: LostWith[];
  /**
   * Requests a second of the web tier, messages a second of the others.
   */
  perS: number;
  tier: Tier;
  /**
   * The names of instances whose counts do not balance.
   */
  unbalanced: string[];
}
/**
 * One tier's counts since its instance started.
 *
 * Requester, broker and responder count messages; the web tier counts a request once for each link.
 */
export interface Ledger {
  /**
   * Second and further replies to one message.
   */
  duplicates: number;
  errors: number;
  /**
   * Messages whose deadline passed in a queue, at the broker, or before the end of their delay and task; also counted in
   * `timeouts`.
   */
  expired: number;
  inFlight: number;
  /**
   * Replies to messages that had ended without one.
   */
  late: number;
  responses: number;
  /**
   * Messages sent again.
   */
  retries: number;
  sent: number;
  timeouts: number;
}
/**
 * What was lost with an instance.
 */
export interface LostWith {
  /**
   * When it was found to be gone, in milliseconds since the epoch.
   */
  at: number;
  /**
   * Messages that were in flight in it.
   */
  lost: number;
  /**
   * Its name: service and slot, or its id.
   */
  name: string;
  node: string;
}
/**
 * An event of the log. Texts are cut at 200 bytes.
 */
export interface LoggedEvent {
  /**
   * The value after, or what was started.
   */
  after?: string;
  /**
   * When the web tier learned of it, by its wall clock, in milliseconds since the epoch.
   */
  at: number;
  /**
   * The value before.
   */
  before?: string;
  /**
   * None: without a caller, or not known to this web tier.
   */
  by?: By;
  /**
   * How many instances, or workers of one instance, it is about, or how often it happened to the one.
   */
  count: number;
  /**
   * The instance concerned; none if there are several.
   */
  instance?: string;
  kind: EventKind;
  node?: string;
  reason?: string;
  /**
   * Larger than that of every earlier event, also of those before a restart of the web tier.
   */
  seq: number;
  service?: string;
  slot?: string;
  /**
   * What else it is about: a link's address, an experiment's run.
   */
  subject?: string;
  /**
   * Of the instances that it is about.
   */
  tier?: Tier;
  /**
   * Index of the worker concerned; none if there are several.
   */
  worker?: number;
}
/**
 * How far a load is.
 */
export interface LoadView {
  count: number | null;
  rate: number | null;
  /**
   * Requests that the web tier refused.
   */
  refused: number;
  running: boolean;
  /**
   * Requests sent.
   */
  sent: number;
}
/**
 * A request, its state, and its replies in order of arrival.
 */
export interface RequestView {
  /**
   * When it was accepted, in milliseconds since the epoch.
   */
  at: number;
  counts: OutcomeCounts;
  fanOut: FanOut;
  /**
   * Requester instances it was sent to.
   */
  links: number;
  messages: MessageView[];
  /**
   * Why it failed, or problems of a request that did not fail.
   */
  reason?: string;
  replies: Reply[];
  requestId: string;
  status: RequestStatus;
  task: string | null;
  /**
   * Timeout in milliseconds; none: the requester's configured timeout.
   */
  timeoutMs: number | null;
  /**
   * Time from acceptance to the end, in microseconds.
   */
  totalUs?: number;
}
/**
 * A message of a request.
 */
export interface MessageView {
  /**
   * When it last left its requester, in milliseconds since the epoch; none if no event reported it.
   */
  dispatchedAt?: number;
  /**
   * The requester instance's id.
   */
  instance: string;
  /**
   * Why it ended without a reply, if it did.
   */
  lost?: string;
  messageId: string;
  requesterId: string;
}
/**
 * The times of a message's hops, in microseconds; each is measured with a single clock.
 */
export interface Timings {
  /**
   * Wait at the broker for a responder worker.
   */
  brokerUs?: number;
  /**
   * Wait in the requester for its worker.
   */
  queuedUs?: number;
  /**
   * In the responder worker: the delay and the task.
   */
  serviceUs?: number;
  /**
   * From the request's arrival at the requester to its reply.
   */
  totalUs?: number;
  /**
   * Between requester and broker, both ways.
   */
  wireUs?: number;
}
/**
 * The deployment's figures for one second.
 */
export interface Sample {
  /**
   * The end of the second, in milliseconds since the epoch.
   */
  at: number;
  errorsPerS: number;
  /**
   * Messages without an outcome.
   */
  inFlight: number;
  /**
   * Latency quantiles of the messages that ended in this second, from requester to reply; none if no message ended.
   */
  p50Us?: number;
  p95Us?: number;
  p99Us?: number;
  /**
   * Messages waiting in requesters and brokers.
   */
  queue: number;
  responsesPerS: number;
  timeoutsPerS: number;
}
/**
 * Sent with each snapshot, and when it has changed.
 */
export interface PageSettings {
  batchMs: number;
  controls: boolean;
  delay: Delay;
  dispatch: Dispatch;
  /**
   * None while it is computed, or if no responder is known.
   */
  expected: IdleExpectation | null;
  /**
   * Maximum ended requests that the server keeps.
   */
  keepRequests: number;
  /**
   * Why nobody but the experiment that runs may change the deployment, and what to do; none where everybody may.
   */
  locked: string | null;
  task: string;
  timeoutMs: number;
}
/**
 * The figures of an otherwise idle deployment. Times in milliseconds, without the overhead of processes and network.
 */
export interface IdleExpectation {
  /**
   * 90th percentile of the time of a request.
   */
  fanOutHighMs: number;
  /**
   * 10th percentile of the time of a request.
   */
  fanOutLowMs: number;
  /**
   * Mean time of a request, until its last reply.
   */
  fanOutMeanMs: number;
  /**
   * Median time of a message, from sending to reply.
   */
  messageP50Ms: number;
  /**
   * 99th percentile of the time of a message.
   */
  messageP99Ms: number;
  /**
   * Mean delay of a message.
   */
  serviceMeanMs: number;
}
/**
 * Every instance and link known, by id and by address.
 */
export interface Topology {
  instances: {
    [k: string]: InstanceView;
  };
  links: {
    [k: string]: LinkView;
  };
}
/**
 * The whole state of an instance at one moment.
 */
export interface Snapshot {
  /**
   * Milliseconds since the epoch, by the instance's clock.
   */
  at: number;
  /**
   * Of a responder.
   */
  delay?: Delay;
  /**
   * Of a broker.
   */
  dispatch?: Dispatch;
  /**
   * Per-message events dropped because there were more than `telemetry.events_per_second`.
   */
  droppedEvents: number;
  /**
   * Of a responder with faults.
   */
  faults?: Faults;
  hops: {
    [k: string]: unknown;
  };
  instance: Instance;
  ledger: Ledger;
  /**
   * Of a requester or broker: where it takes the connections of the tier before it. In its own snapshots: as seen from its host.
   */
  listens?: string;
  peers: PeerView[];
  /**
   * Messages that no worker has begun. For a separate broker with round-robin dispatch: all in flight.
   */
  queue: number;
  /**
   * Of a broker: bytes of the messages in it and at its workers, and of replies that requesters have not read yet.
   */
  queueBytes?: number;
  /**
   * Why it is not ready.
   */
  reason?: string;
  /**
   * Of a web instance: requests that it accepted since its start. None from earlier versions.
   */
  requests?: number;
  /**
   * Restarts of its workers and of its other components since its start. Never falls.
   */
  restarts: number;
  /**
   * Of a responder: workers that stall by an injected fault, now or on their next message.
   */
  stalled?: number[];
  state: InstanceState;
  /**
   * Of a responder: mean time of its latest tasks, without delay and faults, in microseconds. None before the first.
   */
  taskUs?: number;
  /**
   * Milliseconds since the instance's start, by a monotonic clock, with which rates are computed. None from earlier versions.
   */
  uptimeMs?: number;
  /**
   * Usage of its process, which may have other instances too: those have the same `admin` address.
   */
  usage?: Usage;
  /**
   * Of a requester: messages that each worker may have in flight, 1 with REQ. None from earlier versions.
   */
  window?: number;
  workers: WorkerView[];
}
/**
 * The faults that a responder injects.
 */
export interface Faults {
  /**
   * Share of the messages that get an error reply, from 0 to 1.
   */
  errorRate: number;
  /**
   * Additional time of each message, in milliseconds, up to ten minutes.
   */
  extraLatencyMs: number;
  /**
   * Every message gets an error reply, while the responder still reports that it is healthy.
   */
  failing: boolean;
}
/**
 * The identity of an instance, constant until its end.
 */
export interface Instance {
  /**
   * Address of its admin server. In the instance's own snapshots: as seen from its host.
   */
  admin: string | null;
  /**
   * Unique across the deployment and over restarts.
   */
  id: string;
  /**
   * The host it runs on.
   */
  node: string;
  pid: number;
  service: string;
  /**
   * The swarm's slot, or the node's id in a global service.
   */
  slot: string | null;
  /**
   * When it started, in milliseconds since the epoch.
   */
  startedAt: number;
  tier: Tier;
  version: string;
}
/**
 * An address this instance connects to.
 */
export interface PeerView {
  address: string;
  connected: boolean;
}
/**
 * Resource usage of a process.
 */
export interface Usage {
  /**
   * CPU time since its start, in microseconds.
   */
  cpuUs: number;
  /**
   * Resident memory, in bytes.
   */
  residentBytes: number;
}
export interface WorkerView {
  /**
   * Messages it has completed.
   */
  handled: number;
  /**
   * `requesterId` or `responderId`; empty for a worker that has none.
   */
  id: string;
  /**
   * Place in the pool, from 0.
   */
  index: number;
  restarts: number;
  state: WorkerState;
}
export interface LinkView {
  reason?: string;
  state: LinkState;
}
/**
 * The new dispatch of a broker: `round-robin` or `least-busy`.
 */
export interface DispatchChoice {
  dispatch: Dispatch;
}
/**
 * The body of every error response.
 */
export interface ErrorAnswer {
  error: ApiError;
}
/**
 * A median with a confidence interval.
 */
export interface Estimate {
  /**
   * Number of values.
   */
  count: number;
  /**
   * The probability that such an interval contains the true median. Below the requested confidence if there are too few
   * values; 0 for one value.
   */
  coverage: number;
  high: number;
  low: number;
  median: number;
}
/**
 * Some events of the log.
 */
export interface EventPage {
  /**
   * Oldest first.
   */
  events: LoggedEvent[];
  /**
   * What `after` is to be in the next call, to get what follows.
   */
  last: number;
  /**
   * Events after `after` are not kept any more: they were more than an hour old, or there was no room for them.
   */
  missed: boolean;
  /**
   * There are later ones already.
   */
  more: boolean;
}
/**
 * A sentence of the abstract.
 */
export interface Finding {
  isWarning: boolean;
  text: string;
}
/**
 * The knee of a load curve, between two of its rates.
 */
export interface Knee {
  /**
   * The highest rate whose whole intervals are within the limits; `None` if there is no such rate.
   */
  atLeast: number | null;
  /**
   * The highest rate with any part of its intervals within the limits.
   */
  atMost: number;
  /**
   * The next higher rate that was measured. `None`: the highest measured rate was sustained.
   */
  beyond: number | null;
  /**
   * Why `beyond` was not sustained.
   */
  limit: Limit | null;
  /**
   * The highest sustained rate by the medians, in requests per second.
   */
  sustained: number;
}
/**
 * The knee of a rising load.
 */
export interface KneeFinding {
  /**
   * Requests per second that the workers could serve.
   */
  capacityPerS: number | null;
  /**
   * None: not even the lowest rate was sustained.
   */
  knee: Knee | null;
  /**
   * The levels of the factors other than the load.
   */
  others: Partial<Record<Factor, string>>;
  /**
   * Sorted by rate, in requests per second.
   */
  points: LoadPoint[];
}
/**
 * A point of a load curve: the trials of one rate.
 */
export interface LoadPoint {
  /**
   * Completed requests per second, the median.
   */
  achieved: number;
  /**
   * The load's rate, in requests per second. With random arrivals, the number of requests due in a trial varies.
   */
  offered: number;
  p99Ms: number;
  p99Times: Estimate;
  share: Estimate;
}
/**
 * What load to make.
 */
export interface NewLoad {
  /**
   * Requests in all, up to a million, or up to 10,000 without a rate; none: until it is stopped.
   */
  count?: number;
  /**
   * Requests a second, 0.1 to 1000; none: all at once.
   */
  rate?: number;
  request?: NewRequest;
}
/**
 * A request as a client sends it.
 */
export interface NewRequest {
  fanOut: FanOut;
  /**
   * File for the `file` task, relative to the responders' task.root.
   */
  filename?: string;
  /**
   * Parameters of the task.
   */
  parameters?: {
    [k: string]: unknown;
  };
  /**
   * `file`, `echo` or `cpu`; none: the responders' task.name.
   */
  task?: TaskName;
  /**
   * Timeout of each message, in milliseconds, from 1 to 3,600,000; none: the requesters' requester.timeout.
   */
  timeoutMs?: number;
  /**
   * Respond when the request has ended, with its replies, instead of at once.
   */
  wait: boolean;
}
/**
 * The experiment to start: a plan, or a run to resume.
 */
export interface NewRun {
  name?: string;
  plan?: string;
  /**
   * A run to resume, instead of a plan.
   */
  resume?: string;
  target?: string;
}
/**
 * No connection could be made.
 */
export interface NoConnection {
  /**
   * False.
   */
  connected: boolean;
  msg: ConnectFailure;
}
/**
 * The plans and targets of this web tier.
 */
export interface Overview {
  /**
   * Folder in which runs are kept.
   */
  dir: string;
  /**
   * Ready-made plans.
   */
  plans: ReadyMade[];
  targets: TargetView[];
  /**
   * Why no run can be written to the folder.
   */
  unwritable: string | null;
}
/**
 * A ready-made plan.
 */
export interface ReadyMade {
  description: string;
  name: string;
  /**
   * TOML.
   */
  text: string;
}
/**
 * A target of plans.
 */
export interface TargetView {
  name: string;
  /**
   * Why this web tier cannot use it.
   */
  refused: string | null;
}
/**
 * The data of a report: the results without their histograms, which are in the summary.
 */
export interface Report {
  environment: Environment;
  finishedAt: number | null;
  plan: Plan;
  /**
   * Milliseconds since the epoch.
   */
  startedAt: number;
  summary: Summary;
}
/**
 * A plan with all levels checked and all combinations made.
 */
export interface Plan {
  cells: Cell[];
  /**
   * Maximum measured requests: the load ends after them, or after the duration.
   */
  count: number | null;
  /**
   * Its purpose, in a sentence or two.
   */
  description: string;
  /**
   * Milliseconds of load that are measured.
   */
  durationMs: number;
  /**
   * The factors that vary, each with its levels, in the plan's order.
   */
  factors: [Factor, string[]][];
  name: string;
  order: Order;
  /**
   * The factor whose other levels are compared with its first one, within each repetition.
   */
  pair: Factor | null;
  repetitions: number;
  /**
   * Seed of the arrivals, the delays, the order and the simulations.
   */
  seed: number;
  /**
   * Settings of the deployment, for targets that start or update one.
   */
  settings: {
    [k: string]: string;
  };
  /**
   * Name of the stack, for the target `swarm`.
   */
  stack: string;
  target: Target;
  /**
   * Timeout of a message, in milliseconds.
   */
  timeoutMs: number;
  /**
   * Address of the web tier, for the targets `running` and `swarm`.
   */
  url: string | null;
  /**
   * Milliseconds of load at the beginning of a trial that are not measured.
   */
  warmUpMs: number;
}
/**
 * Summary of the trials completed so far.
 */
export interface Summary {
  /**
   * Sentences: warnings, then findings.
   */
  abstract: Finding[];
  /**
   * All cells of the plan, in its order; cells without a completed trial have no figures.
   */
  cells: CellSummary[];
  /**
   * What the machine that made the load did during the trials, each with the least and the most of any trial.
   */
  conditions?: [string, string][];
  /**
   * If the plan has a paired factor: its levels compared with the first one, within each repetition.
   */
  contrasts: Contrast[];
  /**
   * If the load is a factor: the knee for each combination of the other factors.
   */
  knees: KneeFinding[];
  trialsDone: number;
  trialsPlanned: number;
}
/**
 * Why a plan is invalid.
 */
export interface PlanProblem {
  /**
   * Line of the plan's text, from 1; none if the error has no single line.
   */
  line: number | null;
  message: string;
}
/**
 * A plan to check.
 */
export interface PlanText {
  /**
   * Name of a plan whose text has none.
   */
  name?: string;
  /**
   * TOML, as in docs/experiments.md.
   */
  plan: string;
  /**
   * `running` (the default): this deployment; `in-process` or `processes`: a deployment that is started for each trial.
   */
  target?: string;
}
/**
 * The new size of a worker pool.
 */
export interface PoolSize {
  workers: number;
}
/**
 * A median, and the range of most values.
 */
export interface Range {
  high: number;
  low: number;
  median: number;
  /**
   * The figure of each simulated trial, by repetition: the real trials of that have the same arrivals.
   */
  values?: number[];
}
/**
 * A run as it is listed.
 */
export interface RunView {
  description: string;
  ended: number;
  /**
   * The files that it has.
   */
  files: string[];
  /**
   * The sentences of the report, warnings first.
   */
  findings: Finding[];
  /**
   * None while trials are left.
   */
  finishedAt: number | null;
  /**
   * Name of its folder.
   */
  id: string;
  /**
   * Name of its plan.
   */
  plan: string;
  /**
   * Trials that failed or are not valid.
   */
  problems: number;
  /**
   * The lowest and the highest throughput of the valid trials, in requests per second.
   *
   * @minItems 2
   * @maxItems 2
   */
  requestsPerS: [number, number] | null;
  /**
   * In the order they ran; left out in lists.
   */
  rows?: TrialRow[];
  /**
   * In milliseconds since the epoch.
   */
  startedAt: number;
  target: string;
  /**
   * Trials of the plan, and those that have ended.
   */
  trials: number;
}
/**
 * A trial in a few figures.
 */
export interface TrialRow {
  /**
   * The load generator fell behind.
   */
  behind: boolean;
  /**
   * Requests without all of their replies, or refused.
   */
  failed: number;
  /**
   * The factors that vary, each with its level.
   */
  levels: Partial<Record<Factor, string>>;
  /**
   * Place in the plan's order, from 0.
   */
  number: number;
  p50Us: number;
  p99Us: number;
  /**
   * Why the trial failed or is not valid.
   */
  problem: string | null;
  /**
   * From 0.
   */
  repetition: number;
  requestsPerS: number;
}
/**
 * The duration of a worker's stall.
 */
export interface Stall {
  /**
   * Milliseconds, up to ten minutes.
   */
  ms: number;
}
/**
 * A request that was accepted.
 */
export interface TakenOn {
  requestId: string;
}
