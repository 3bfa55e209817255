// The pretended deployment at work: messages through queues and delays, without any network. It tells events as the real
// one does.
import { randomUUID } from 'node:crypto';
import { Deployment } from './deployment.mjs';

const EVENTS_PER_SECOND = 500;

export class Swarm extends Deployment {
  constructor(mode, tell) {
    super(mode, tell);
    this.load = { running: false, rate: null, count: null, sent: 0, refused: 0 };
    this.budget = EVENTS_PER_SECOND;
    setInterval(() => (this.budget = EVENTS_PER_SECOND), 1000);
  }

  resize(id, count) {
    super.resize(id, count);
    const { broker } = this.instances.get(id);
    if (broker) this.pump(broker);
  }

  /** A single message's event, left out when this second had enough. */
  tellMessage(event) {
    if ((this.budget -= 1) > 0) this.tell(event);
  }

  request(body, done = () => {}) {
    const requestId = randomUUID();
    const fanOut = body.fanOut ?? 'all';
    const timeoutMs = body.timeoutMs ?? null;
    const requesters = Object.values(this.links).some(({ state }) => state === 'connected')
      ? this.all('requester')
      : [];
    if (requesters.length === 0) return undefined;
    const links = fanOut === 'all' ? requesters : [requesters[Math.floor(Math.random() * requesters.length)]];
    const at = Date.now();
    const request = {
      requestId,
      at,
      start: performance.now(),
      body,
      left: 0,
      counts: { responses: 0, errors: 0, timeouts: 0 },
      done,
    };
    this.tellMessage({
      type: 'request',
      requestId,
      at,
      task: body.task ?? null,
      fanOut,
      timeoutMs,
      links: links.length,
    });
    const web = this.all('web')[0];
    web.ledger.sent += links.length;
    web.ledger.inFlight += links.length;
    request.links = links.length;
    for (const one of links) {
      const workers = fanOut === 'all' ? one.workers : [one.workers[(one.turn += 1) % one.workers.length]];
      const messages = workers.map((worker) => ({ messageId: randomUUID(), requesterId: worker.view.id }));
      this.tellMessage({ type: 'accepted', requestId, at, accepted: { instance: one.instance.id, messages } });
      request.left += messages.length;
      messages.forEach(({ messageId }, n) => {
        one.ledger.sent += 1;
        one.ledger.inFlight += 1;
        workers[n].waiting.push({ request, messageId, one, worker: workers[n], at: performance.now() });
        this.send(workers[n]);
      });
    }
    return requestId;
  }

  send(worker) {
    if (worker.message || worker.waiting.length === 0) return;
    const message = (worker.message = worker.waiting.shift());
    this.state(message.one, worker, 'busy');
    const brokers = this.all('broker');
    const broker = brokers[(message.one.turn += 1) % brokers.length];
    message.sentAt = performance.now();
    message.requestedAt = Date.now();
    const { requestId } = message.request;
    this.tellMessage({
      type: 'dispatched',
      requestId,
      messageId: message.messageId,
      requesterId: worker.view.id,
      instance: message.one.instance.id,
      at: Date.now(),
      attempt: 1,
      broker: broker.address,
    });
    const limit = message.request.body.timeoutMs ?? 10_000;
    message.timer = setTimeout(() => this.end(message, 'timeout', undefined), limit);
    for (const one of [broker, broker.responder]) ((one.ledger.sent += 1), (one.ledger.inFlight += 1));
    broker.waiting.push(message);
    this.pump(broker);
  }

  pump(broker) {
    const { responder } = broker;
    while (broker.waiting.length > 0) {
      const idle = responder?.workers.filter(({ view }) => view.state === 'idle') ?? [];
      if (idle.length === 0) return;
      const worker = idle[(responder.turn += 1) % idle.length];
      const message = broker.waiting.shift();
      message.brokerAt = performance.now();
      worker.message = message;
      this.state(responder, worker, 'busy');
      const wait = this.draw() + (responder.faults?.extraLatencyMs ?? 0);
      worker.timer = setTimeout(() => this.answer(responder, worker), wait);
    }
  }

  answer(responder, worker) {
    const { message } = worker;
    worker.message = undefined;
    worker.view.handled += 1;
    const failed =
      responder.faults?.failing || Math.random() < (responder.faults?.errorRate ?? 0) || Math.random() < 0.004;
    message.end ?? this.end(message, failed ? 'error' : 'response', { responder, worker });
    this.count(responder, failed ? 'errors' : 'responses');
    this.count(responder.broker, failed ? 'errors' : 'responses');
    if (worker.view.state === 'busy') this.state(responder, worker, 'idle');
    this.pump(responder.broker);
  }

  count(one, key) {
    one.ledger[key] += 1;
    one.ledger.inFlight -= 1;
  }

  end(message, outcome, by) {
    clearTimeout(message.timer);
    message.end = true;
    const { request, one, worker } = message;
    const now = performance.now();
    const us = Math.round((now - message.at) * 1000);
    this.ended.push({ outcome, us });
    this.count(one, `${outcome}s`);
    request.counts[`${outcome}s`] += 1;
    const part = (from, to) => Math.round((to - from) * 1000);
    const reply = {
      responderId: by ? Number(by.worker.view.id) : -1,
      requesterId: worker.view.id,
      respondedAt: Date.now(),
      body:
        outcome === 'response'
          ? 'Hello from the far side of the swarm.\n'
          : outcome === 'error'
            ? "ENOENT: no such file or directory, open 'target.txt'"
            : `request: ${message.messageId} timed out.`,
      responseType: outcome === 'response' ? 'Response' : 'Error',
      requestId: request.requestId,
      messageId: message.messageId,
      requestedAt: message.requestedAt,
      ...(outcome === 'error' && { code: 'task-failed' }),
      ...(outcome === 'timeout' && { code: 'timeout', detail: 'no reply within its time' }),
      ...(by && {
        filename: 'target.txt',
        node: by.responder.instance.node,
        service: 'responder',
        slot: by.responder.instance.slot,
      }),
      task: request.body.task ?? 'file',
      attempt: 1,
      timings: by
        ? {
            queuedUs: part(message.at, message.sentAt),
            wireUs: 1400,
            brokerUs: part(message.sentAt, message.brokerAt),
            serviceUs: part(message.brokerAt, now) - 1400,
            totalUs: us,
          }
        : { queuedUs: part(message.at, message.sentAt), totalUs: us },
    };
    this.tellMessage({ type: 'reply', at: Date.now(), reply });
    worker.view.handled += 1;
    worker.message = undefined;
    this.state(one, worker, 'idle');
    this.send(worker);
    if ((request.left -= 1) > 0) return;
    const web = this.all('web')[0];
    web.ledger.responses += request.links;
    web.ledger.inFlight -= request.links;
    this.tellMessage({
      type: 'outcome',
      requestId: request.requestId,
      at: Date.now(),
      status: 'complete',
      counts: { ...request.counts },
      totalUs: Math.round((now - request.start) * 1000),
    });
    request.done();
  }

  state(one, worker, state, reason) {
    worker.view.state = state;
    const event = {
      type: 'worker',
      instance: one.instance.id,
      at: Date.now(),
      worker: { ...worker.view },
      ...(reason && { reason }),
    };
    if (state === 'busy' || state === 'idle') this.tellMessage(event);
    else this.tell(event);
  }

  draw() {
    const { kind, minMs, maxMs, meanMs } = this.delay;
    if (kind === 'none') return 1;
    if (kind === 'fixed') return meanMs;
    if (kind === 'uniform') return minMs + Math.random() * (maxMs - minMs);
    return -Math.log(1 - Math.random()) * meanMs;
  }

  panic(id, index) {
    const one = this.instances.get(id);
    const worker = one.workers[index];
    const { message } = worker;
    clearTimeout(worker.timer);
    worker.message = undefined;
    worker.view.restarts += 1;
    this.state(one, worker, 'restarting', 'panicked: asked to');
    setTimeout(() => {
      this.state(one, worker, 'idle');
      if (message && one.broker) one.broker.waiting.unshift(message);
      if (one.broker) this.pump(one.broker);
    }, 1500);
  }

  stall(id, index, ms) {
    const one = this.instances.get(id);
    const worker = one.workers[index];
    if (worker.message) return;
    this.state(one, worker, 'busy');
    setTimeout(() => this.state(one, worker, 'idle'), ms);
  }

  gone(id, reason) {
    this.tell({ type: 'instance-gone', id, at: Date.now(), reason });
    this.instances.delete(id);
  }

  startLoad({ rate, count, request = {} }) {
    clearInterval(this.loadTimer);
    this.load = { running: true, rate: rate ?? null, count: count ?? null, sent: 0, refused: 0 };
    const started = performance.now();
    this.loadTimer = setInterval(() => {
      const due = rate ? ((performance.now() - started) / 1000) * rate : count;
      while (this.load.sent + this.load.refused < Math.min(due, count ?? Infinity)) {
        if (this.request(request)) this.load.sent += 1;
        else this.load.refused += 1;
      }
      if (count && this.load.sent + this.load.refused >= count) this.stopLoad();
    }, 10);
    return this.load;
  }

  stopLoad() {
    clearInterval(this.loadTimer);
    this.load.running = false;
    return this.load;
  }
}
