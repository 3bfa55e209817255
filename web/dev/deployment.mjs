// What a pretended deployment is made of: instances, their workers and links, and what is told of them.
import { randomUUID } from 'node:crypto';

/** The sizes to develop against. */
export const MODES = {
  alone: { nodes: 1, requesters: [0, 0], responders: [0, 0] },
  small: { nodes: 1, requesters: [1, 3], responders: [1, 3] },
  nodes: { nodes: 8, requesters: [2, 20], responders: [8, 25] },
  wall: { nodes: 8, requesters: [4, 25], responders: [8, 250] },
};

const zero = () => ({ sent: 0, responses: 0, errors: 0, timeouts: 0, inFlight: 0, duplicates: 0, late: 0, retries: 0 });

export class Deployment {
  constructor(mode, tell) {
    this.tell = tell;
    this.since = Date.now();
    this.instances = new Map();
    this.links = {};
    this.ended = [];
    this.delay = { kind: 'uniform', minMs: 1000, maxMs: 3000, meanMs: 2000, sigma: 0.5, capMs: 60000 };
    this.dispatch = 'round-robin';
    this.responderIds = 23000;
    const { nodes, requesters, responders } = MODES[mode];
    const node = (n) => (nodes === 1 ? 'localhost' : `pi-${(n % nodes) + 1}`);
    this.start('web', node(0), 1, 0);
    for (let n = 0; n < requesters[0]; n += 1) this.start('requester', node(n + 1), n + 1, requesters[1]);
    for (let n = 0; n < responders[0]; n += 1) this.startResponder(node(n), n + 1, responders[1]);
    this.connect();
    setInterval(() => this.all().forEach((one) => this.tell({ type: 'instance', snapshot: this.snapshot(one) })), 500);
    setInterval(() => this.tell({ type: 'figures', figures: this.figures() }), 500);
    setInterval(() => this.tell({ type: 'sample', sample: this.sample() }), 1000);
  }

  start(tier, node, slot, workers, pid = 1000 + this.instances.size * 7) {
    const id = `${tier}-${randomUUID().slice(0, 8)}`;
    const instance = {
      id,
      tier,
      node,
      service: tier,
      slot: String(slot),
      version: '0.1.0',
      pid,
      startedAt: Date.now(),
      admin: `${node}:9090`,
    };
    const one = { instance, state: 'ready', workers: [], waiting: [], ledger: zero(), faults: undefined, turn: 0 };
    this.instances.set(id, one);
    this.resize(id, workers);
    return one;
  }

  startResponder(node, slot, workers) {
    const broker = this.start('broker', node, slot, 0);
    const responder = this.start('responder', node, slot, workers, broker.instance.pid);
    responder.broker = broker;
    broker.responder = responder;
    broker.address = `10.0.0.${this.instances.size}:5432`;
    return responder;
  }

  all(tier) {
    return [...this.instances.values()].filter((one) => !tier || one.instance.tier === tier);
  }

  connect() {
    this.all('requester').forEach((one, n) => this.link(`10.0.1.${n + 1}:5678`, 'connected'));
    return this.all('requester').length > 0;
  }

  disconnect() {
    Object.keys(this.links).forEach((address) => this.link(address, 'disconnected', 'asked to be disconnected'));
  }

  link(address, state, reason) {
    this.links[address] = { state, ...(reason && { reason }) };
    this.tell({ type: 'link', address, at: Date.now(), ...this.links[address] });
  }

  snapshot(one) {
    const peers =
      one.instance.tier === 'requester' ? this.all('broker').map(({ address }) => ({ address, connected: true })) : [];
    const queue = one.waiting.length + one.workers.reduce((sum, worker) => sum + worker.waiting.length, 0);
    return {
      instance: one.instance,
      at: Date.now(),
      state: one.state,
      workers: one.workers.map(({ view }) => ({ ...view })),
      queue,
      peers,
      ledger: { ...one.ledger },
      hops: {},
      droppedEvents: 0,
      ...(one.faults && { faults: one.faults }),
      ...(one.instance.tier === 'responder' && { delay: this.delay }),
      ...(one.instance.tier === 'broker' && { dispatch: this.dispatch }),
    };
  }

  topology() {
    const seenAt = Date.now();
    const instances = Object.fromEntries(this.all().map((one) => [one.instance.id, { ...this.snapshot(one), seenAt }]));
    return { instances, links: { ...this.links } };
  }

  sample() {
    const ended = this.ended.splice(0);
    const times = ended.map(({ us }) => us).sort((a, b) => a - b);
    const of = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
    const number = (outcome) => ended.filter((one) => one.outcome === outcome).length;
    const sum = (tier, get) => this.all(tier).reduce((total, one) => total + get(one), 0);
    return {
      at: Date.now(),
      responsesPerS: number('response'),
      errorsPerS: number('error'),
      timeoutsPerS: number('timeout'),
      inFlight: sum('requester', (one) => one.ledger.inFlight),
      queue: sum(undefined, (one) => this.snapshot(one).queue),
      ...(times.length > 0 && { p50Us: of(0.5), p95Us: of(0.95), p99Us: of(0.99) }),
    };
  }

  /** The deployment's figures; without rates and capacity. */
  figures() {
    const tiers = ['web', 'requester', 'broker', 'responder'].map((tier) => {
      const ledger = { ...zero(), expired: 0 };
      this.all(tier).forEach((one) => Object.keys(one.ledger).forEach((key) => (ledger[key] += one.ledger[key])));
      const instances = this.all(tier).length;
      return { tier, instances, perS: 0, ledger, lost: 0, lostWith: [], balanced: true, unbalanced: [] };
    });
    const messagesPerRequest = this.all('requester').reduce((sum, one) => sum + one.workers.length, 0);
    const rates = { rates: {}, requests: 0, messagesPerRequest, offeredPerS: 0, servedPerS: 0 };
    return { at: Date.now(), since: this.since, tiers, ...rates, capacityPerS: null, bottleneck: null, nodes: [] };
  }

  settings(batchMs) {
    const mean =
      this.delay.kind === 'none'
        ? 1
        : this.delay.kind === 'uniform'
          ? (this.delay.minMs + this.delay.maxMs) / 2
          : this.delay.meanMs;
    const expected = {
      serviceMeanMs: mean,
      messageP50Ms: mean,
      messageP99Ms: mean * 1.49,
      fanOutMeanMs: mean * 1.25,
      fanOutLowMs: mean * 0.9,
      fanOutHighMs: mean * 1.5,
    };
    return {
      delay: this.delay,
      timeoutMs: 10_000,
      task: 'file',
      dispatch: this.dispatch,
      controls: true,
      locked: null,
      batchMs,
      keepRequests: 1_000,
      expected,
    };
  }

  resize(id, count) {
    const one = this.instances.get(id);
    while (one.workers.length > count) one.workers.pop();
    while (one.workers.length < count) {
      const name = one.instance.tier === 'responder' ? String((this.responderIds += 1)) : randomUUID();
      one.workers.push({
        view: { index: one.workers.length, id: name, state: 'idle', handled: 0, restarts: 0 },
        waiting: [],
      });
    }
    this.tell({ type: 'instance', snapshot: this.snapshot(one) });
  }
}
