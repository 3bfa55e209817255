#!/usr/bin/env node
// A server for developing the dashboard without the program: `node dev/mock.mjs [--mode alone|small|nodes|wall] [--load RATE] [--churn]`.
// Like the program it takes `--set` for web.port, admin.token, task.delay.min and task.delay.max, so that the browser tests can run against it.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { Swarm } from './swarm.mjs';

const BATCH_MS = 50;
const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

const option = (name) => {
  const place = process.argv.indexOf(`--${name}`);
  return place < 0 ? undefined : (process.argv[place + 1] ?? '');
};
const set = Object.fromEntries(
  process.argv.filter((_, n) => process.argv[n - 1] === '--set').map((text) => text.split('=')),
);
const token = set['admin.token'];

const sockets = new Map();
let pending = [];
const swarm = new Swarm(option('mode') ?? 'small', (event) => pending.push(event));
if (set['task.delay.max'])
  Object.assign(swarm.delay, { minMs: parseInt(set['task.delay.min']), maxMs: parseInt(set['task.delay.max']) });
// What the page would have folded, for those who come later.
const requests = new Map();
const samples = [];

function remember(event) {
  if (event.type === 'sample') samples.push(event.sample);
  if (event.type === 'request')
    requests.set(event.requestId, {
      ...event,
      type: undefined,
      status: 'pending',
      messages: [],
      replies: [],
      counts: { responses: 0, errors: 0, timeouts: 0 },
    });
  const view = requests.get(event.requestId ?? event.reply?.requestId);
  if (event.type === 'accepted')
    view?.messages.push(
      ...event.accepted.messages.map((message) => ({ ...message, instance: event.accepted.instance })),
    );
  if (event.type === 'reply') view?.replies.push(event.reply);
  if (event.type === 'outcome' && view)
    Object.assign(view, { status: event.status, counts: event.counts, totalUs: event.totalUs });
  if (requests.size > 1000) requests.delete(requests.keys().next().value);
}

const snapshot = (seq) => ({
  type: 'snapshot',
  seq,
  now: Date.now(),
  topology: swarm.topology(),
  requests: [...requests.values()].toReversed(),
  requestsLeftOut: 0,
  samples: samples.slice(-300),
  figures: swarm.figures(),
  settings: swarm.settings(BATCH_MS),
  history: [],
  load: swarm.load,
  version: '0.1.0',
  page: null,
});

setInterval(() => {
  const events = pending;
  pending = [];
  events.forEach(remember);
  if (events.length === 0) return;
  for (const [socket, seq] of sockets) {
    sockets.set(socket, seq + 1);
    socket.send(JSON.stringify({ type: 'events', seq: seq + 1, now: Date.now(), load: swarm.load, events }));
  }
}, BATCH_MS);

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

function api(method, path, body, headers) {
  const permitted = token === undefined || headers.authorization === `Bearer ${token}`;
  if (path === 'control') return [200, { permitted, needsToken: token !== undefined }];
  const controls = /^(control|load|experiments)\b|^dispatcher\/disconnect$/;
  if (method !== 'GET' && controls.test(path) && !permitted) throw new Refused(403, 'forbidden', 'the token is missing or wrong');
  const [, , id, what, index, act] = path.split('/').map(decodeURIComponent);
  const instance = () => swarm.instances.get(id) ?? refuse(404, 'not-found', `there is no instance ${id}`);
  switch (`${method} ${path.replace(/instances\/[^/]+/, 'instances/*').replace(/workers\/\d+/, 'workers/*')}`) {
    case 'POST requests': {
      const requestId =
        swarm.request(body) ?? refuse(503, 'not-connected', 'no requester is connected: connect the links first');
      return [202, { requestId }];
    }
    case 'GET dispatcher/connect':
      return swarm.connect()
        ? [200, { connected: true, msg: 'Socket connected' }]
        : [500, { connected: false, msg: { code: 'ECONNREFUSED' } }];
    case 'POST dispatcher/disconnect':
      swarm.disconnect();
      return [200, { connected: false, msg: 'Socket disconnected' }];
    case 'POST load':
      return [200, swarm.startLoad(body)];
    case 'DELETE load':
      return [200, swarm.stopLoad()];
    case 'GET load':
      return [200, swarm.load];
    case 'PUT control/instances/*/workers':
      swarm.resize(instance().instance.id, body.workers);
      return [200, {}];
    case 'PUT control/delay':
      swarm.delay = body;
      return [200, {}];
    case 'PUT control/dispatch':
      swarm.dispatch = body.dispatch;
      return [200, {}];
    case 'PUT control/instances/*/faults':
      instance().faults = body.errorRate || body.extraLatencyMs || body.failing ? body : undefined;
      return [200, {}];
    case 'DELETE control/instances/*/faults':
      instance().faults = undefined;
      return [200, {}];
    case 'DELETE control/faults':
      swarm.all().forEach((one) => (one.faults = undefined));
      return [200, {}];
    case 'POST control/instances/*/workers/*/panic':
    case 'POST control/instances/*/workers/*/stall':
      if (what === 'workers' && instance())
        act === 'panic' ? swarm.panic(id, Number(index)) : swarm.stall(id, Number(index), body.ms);
      return [200, {}];
    default:
      return refuse(404, 'not-found', 'no such call');
  }
}

const refuse = (...problem) => {
  throw new Refused(...problem);
};

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://x').pathname;
  response.setHeader('Content-Security-Policy', "default-src 'self'");
  try {
    if (path.startsWith('/api/v1/')) {
      let text = '';
      for await (const part of request) text += part;
      const [status, answer] = api(request.method, path.slice(8), text ? JSON.parse(text) : {}, request.headers);
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
    } else {
      const file = path === '/' ? 'index.html' : path.slice(1);
      response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/plain');
      response.end(await readFile(join(DIST, file)));
    }
  } catch (error) {
    const { status = 404, code = 'not-found', message } = error;
    response
      .writeHead(status, { 'Content-Type': 'application/json' })
      .end(JSON.stringify({ error: { code, message } }));
  }
});

new WebSocketServer({ server, path: '/ws' }).on('connection', (socket) => {
  pending.splice(0).forEach(remember);
  socket.send(JSON.stringify(snapshot(0)));
  sockets.set(socket, 0);
  socket.on('close', () => sockets.delete(socket));
});

server.listen(Number(set['web.port'] ?? 3000), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);

if (option('load') !== undefined) swarm.startLoad({ rate: Number(option('load')) });
if (process.argv.includes('--churn')) {
  // An instance ends and another starts on its node, again and again.
  let slot = 20;
  setInterval(() => {
    const [one] = swarm.all('responder');
    swarm.gone(one.instance.id, 'SIGTERM: drained');
    swarm.gone(one.broker.instance.id, 'SIGTERM: drained');
    setTimeout(() => swarm.startResponder(one.instance.node, (slot += 1), one.workers.length), 2_000);
  }, 6_000);
}
