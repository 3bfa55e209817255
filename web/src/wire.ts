/**
 * The server's JSON, as types. The Rust side of each is in `src/wire/`; names and shapes must stay the same.
 * Times are milliseconds since the epoch, names ending in `Us` are microseconds.
 */

import type { ExperimentView } from './experiments/wire.ts';

export type Tier = 'web' | 'requester' | 'broker' | 'responder';
export type InstanceState = 'starting' | 'ready' | 'draining' | 'gone';
export type WorkerState = 'starting' | 'idle' | 'busy' | 'restarting' | 'draining' | 'gone';
export type LinkState = 'connecting' | 'connected' | 'draining' | 'disconnected';
export type FanOut = 'all' | 'one';
export type RequestStatus = 'pending' | 'complete' | 'failed';
export type DelayKind = 'none' | 'fixed' | 'uniform' | 'exponential' | 'log-normal';
export type Dispatch = 'round-robin' | 'least-busy';

/** How one message ended. */
export type Outcome = 'response' | 'error' | 'timeout';

/** The tiers in the order in which a request passes them. */
export const TIERS: readonly Tier[] = ['web', 'requester', 'broker', 'responder'];

export interface Instance {
  id: string;
  tier: Tier;
  node: string;
  service: string;
  slot: string | null;
  version: string;
  pid: number;
  startedAt: number;
  admin: string | null;
}

export interface WorkerView {
  index: number;
  id: string;
  state: WorkerState;
  handled: number;
  restarts: number;
}

export interface Ledger {
  sent: number;
  responses: number;
  errors: number;
  timeouts: number;
  inFlight: number;
  duplicates: number;
  late: number;
  retries: number;
}

/** What is deliberately wrong with an instance. */
export interface Faults {
  errorRate: number;
  extraLatencyMs: number;
  failing: boolean;
}

export interface Snapshot {
  instance: Instance;
  at: number;
  state: InstanceState;
  reason?: string;
  workers: WorkerView[];
  /** Of its workers and its other components. */
  restarts?: number;
  queue: number;
  peers: { address: string; connected: boolean }[];
  ledger: Ledger;
  hops: Record<string, unknown>;
  droppedEvents: number;
  /** Of a responder. */
  delay?: Delay;
  /** Of a responder with faults. */
  faults?: Faults;
  /** The workers of a responder that stall on purpose, or will on their next message. */
  stalled?: number[];
  /** Of a broker. */
  dispatch?: Dispatch;
}

export interface InstanceView extends Snapshot {
  /** When it was last heard of, by the web tier's clock. */
  seenAt: number;
}

export interface LinkView {
  state: LinkState;
  reason?: string;
}

export interface Topology {
  instances: Record<string, InstanceView>;
  links: Record<string, LinkView>;
}

export interface Timings {
  queuedUs?: number;
  wireUs?: number;
  brokerUs?: number;
  serviceUs?: number;
  totalUs?: number;
}

export interface Reply {
  responderId: number;
  requesterId: string;
  respondedAt: number;
  body: string;
  /** Length of the whole body, where it is longer than what pages get. */
  bodyBytes?: number;
  responseType: 'Response' | 'Error';
  requestId: string;
  messageId: string;
  requestedAt: number;
  filename?: string;
  code?: string;
  detail?: string;
  task?: string;
  node?: string;
  service?: string;
  slot?: string;
  attempt?: number;
  timings?: Timings;
}

export interface OutcomeCounts {
  responses: number;
  errors: number;
  timeouts: number;
}

export interface MessageView {
  messageId: string;
  requesterId: string;
  /** The requester instance's id. */
  instance: string;
  /** Why it ended without a reply, if it did. */
  lost?: string;
  /** When it last left its requester; known where that was told. */
  dispatchedAt?: number;
}

export interface RequestView {
  requestId: string;
  at: number;
  task: string | null;
  fanOut: FanOut;
  timeoutMs: number | null;
  links: number;
  status: RequestStatus;
  reason?: string;
  messages: MessageView[];
  replies: Reply[];
  counts: OutcomeCounts;
  totalUs?: number;
}

/** One second of the whole deployment. */
export interface Sample {
  at: number;
  responsesPerS: number;
  errorsPerS: number;
  timeoutsPerS: number;
  inFlight: number;
  queue: number;
  p50Us?: number;
  p95Us?: number;
  p99Us?: number;
}

export interface Delay {
  kind: DelayKind;
  minMs: number;
  maxMs: number;
  meanMs: number;
  sigma: number;
  /** The longest that is drawn. */
  capMs?: number;
}

/** What the configured delay and worker counts should give. */
export interface Expected {
  serviceMeanMs: number;
  messageP50Ms: number;
  messageP99Ms: number;
  fanOutMeanMs: number;
  fanOutLowMs: number;
  fanOutHighMs: number;
  capacityPerS: number;
}

/** What the page needs of the configuration; the delay and the dispatch it takes from the instances themselves. */
export interface Settings {
  timeoutMs: number;
  task: string;
  expected: Expected | null;
}

export type Event =
  | { type: 'instance'; snapshot: Snapshot }
  | { type: 'instance-gone'; id: string; at: number; reason: string }
  | { type: 'worker'; instance: string; at: number; worker: WorkerView; reason?: string }
  | { type: 'link'; address: string; at: number; state: LinkState; reason?: string }
  | {
      type: 'request';
      requestId: string;
      at: number;
      task: string | null;
      fanOut: FanOut;
      timeoutMs: number | null;
      links: number;
    }
  | {
      type: 'accepted';
      requestId: string;
      at: number;
      accepted: { instance: string; messages: { messageId: string; requesterId: string }[] };
    }
  | {
      type: 'dispatched';
      requestId: string;
      messageId: string;
      requesterId: string;
      instance: string;
      at: number;
      attempt: number;
      broker: string;
    }
  | { type: 'retry'; requestId: string; messageId?: string; at: number; attempt: number; reason: string }
  | { type: 'reply'; at: number; reply: Reply }
  | { type: 'lost'; requestId: string; messageId: string; at: number; reason: string }
  | {
      type: 'outcome';
      requestId: string;
      at: number;
      status: RequestStatus;
      counts: OutcomeCounts;
      totalUs: number;
      reason?: string;
    }
  | { type: 'sample'; sample: Sample }
  | { type: 'experiment'; experiment: ExperimentView };

export type ServerMessage =
  | {
      type: 'snapshot';
      seq: number;
      now: number;
      topology: Topology;
      requests: RequestView[];
      /** Older ones that the server knows and did not send. */
      requestsLeftOut: number;
      samples: Sample[];
      /** The one that this web tier runs, or ran last. */
      experiment: ExperimentView | null;
      settings: Settings;
      load: LoadView;
      version: string;
    }
  | { type: 'events'; seq: number; now: number; load: LoadView; events: Event[] };

/** What a request may say, as `POST /api/v1/requests` takes it. */
export interface RequestBody {
  task?: string;
  parameters?: Record<string, unknown>;
  filename?: string;
  fanOut?: FanOut;
  timeoutMs?: number;
}

/** Load that the server makes. */
export interface LoadView {
  running: boolean;
  rate?: number | null;
  count?: number | null;
  sent: number;
  refused: number;
}
