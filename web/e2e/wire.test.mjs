// What the program sends is what its OpenAPI description says, from which the page's types are made: no field is left out or
// null that a page counts on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Ajv from 'ajv';
import WebSocket from 'ws';
import { definitionsOf } from '../wire/schema.mjs';
import { startProgram, TOKEN } from './program.mjs';

const PLAN = `repetitions = 2
warm_up = "0s"
duration = "300ms"
pair = "responders"

[factors]
responders = [1, 2]
load = ["poisson 5", "poisson 10"]

[fixed]
delay = "fixed 5ms"
`;

const folder = await mkdtemp(join(tmpdir(), 'swarmq-'));
let program;
let socket;
let validator;
/** What the WebSocket sends. */
const messages = [];
let news = () => {};

/** Asserts that a value is as the description says. */
function assertIs(name, value) {
  const validate = validator.getSchema(`wire#/definitions/${name}`);
  assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors?.slice(0, 5))}`);
}

async function call(name, path, method = 'GET', body = undefined) {
  const headers = { Authorization: `Bearer ${TOKEN}`, ...(body && { 'Content-Type': 'application/json' }) };
  const response = await fetch(`${program.url}/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const value = await response.json();
  for (const one of Array.isArray(value) ? value : [value]) assertIs(name, one);
  return value;
}

/** Waits until an event has come that `wanted` accepts. */
async function event(wanted) {
  for (;;) {
    const found = messages.flatMap(({ events = [] }) => events).find(wanted);
    if (found) return found;
    await new Promise((resolve) => (news = resolve));
  }
}

before(async () => {
  program = await startProgram(0, { 'experiments.dir': folder, 'requester.max_attempts': 2 });
  const description = await (await fetch(`${program.url}/api/v1/openapi.json`)).json();
  validator = new Ajv({ strict: false, validateFormats: false });
  validator.addSchema({ $id: 'wire', definitions: definitionsOf(description) });
  socket = new WebSocket(`${program.url.replace('http', 'ws')}/ws`);
  socket.on('message', (text) => {
    messages.push(JSON.parse(text));
    news();
  });
  // What happens before the snapshot is in the snapshot, and has no event.
  await once(socket, 'message');
});
after(async () => {
  socket?.terminate();
  await program?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('the answers of the calls', async () => {
  const { instances } = await call('Topology', 'topology');
  const idOf = (tier) => Object.values(instances).find(({ instance }) => instance.tier === tier).instance.id;
  const responder = `control/instances/${encodeURIComponent(idOf('responder'))}`;
  await call('ControlAccess', 'control');
  await call('Changed', `${responder}/faults`, 'PUT', { errorRate: 0.5, extraLatencyMs: 5, failing: false });
  await call('Changed', 'control/dispatch', 'PUT', { dispatch: 'least-busy' });
  await call('Changed', `${responder}/workers`, 'PUT', { workers: 4 });
  await call('Changed', `${responder}/workers/0/stall`, 'POST', { ms: 300 });
  await call('Changed', `${responder}/workers/1/panic`, 'POST');
  await call('Topology', 'topology');
  await call('Figures', 'figures');
  await call('LoadView', 'load', 'POST', { count: 5, request: { task: 'echo' } });
  await call('LoadView', 'load');
  const { requestId } = await call('TakenOn', 'requests', 'POST', { fanOut: 'all', timeoutMs: 900 });
  await call('RequestView', `requests/${requestId}`);
  await event((one) => one.type === 'outcome' && one.requestId === requestId);
  await call('RequestView', `requests/${requestId}`);
  await call('Changed', 'control/faults', 'DELETE');
  await call('Connection', 'dispatcher/connect');
  await call('ErrorAnswer', 'requests/none');
  await call('EventPage', 'events?limit=1000');
  await call('ErrorAnswer', 'events?limit=0');
  await call('ErrorAnswer', 'experiments/running');
});

test('experiments, their runs and reports', { timeout: 120_000 }, async () => {
  await call('Overview', 'experiments');
  await call('Verdict', 'experiments/check', 'POST', { plan: 'repetitions = 0' });
  const ids = [];
  for (const name of ['one', 'two']) {
    const planned = { plan: PLAN, name, target: 'in-process' };
    await call('Verdict', 'experiments/check', 'POST', planned);
    const { id } = await call('ExperimentView', 'experiments/runs', 'POST', planned);
    await event((one) => one.type === 'experiment' && one.experiment.id === id && one.experiment.endedAt);
    ids.push(id);
    await call('RunView', `experiments/runs/${id}`);
    await call('Report', `experiments/runs/${id}/files/report.json`);
  }
  await call('RunView', 'experiments/runs');
  await call('ExperimentView', 'experiments/running');
  await call('Comparison', `experiments/comparison?before=${ids[0]}&after=${ids[1]}`);
});

test('the messages of the WebSocket', async () => {
  const { requestId } = await call('TakenOn', 'requests', 'POST', { task: 'echo' });
  await event((one) => one.type === 'outcome' && one.requestId === requestId);
  await event(({ type }) => type === 'sample');
  messages.forEach((message) => assertIs('DashboardMessage', message));
  const types = new Set(messages.flatMap(({ type, events = [] }) => [type, ...events.map((one) => one.type)]));
  const usual = ['snapshot', 'events', 'instance', 'worker', 'request', 'accepted', 'dispatched', 'reply', 'outcome'];
  for (const type of [...usual, 'sample', 'figures', 'experiment']) assert.ok(types.has(type), `no ${type} came`);
  assert.ok(messages.filter(({ type }) => type === 'snapshot').length === 1, 'changes are told without a new snapshot');
  const logged = new Set(messages.flatMap(({ history = [] }) => history.map(({ kind }) => kind)));
  const changes = ['scaled', 'faults-changed', 'dispatch-changed', 'worker-panicked', 'worker-restarted'];
  for (const kind of [...changes, 'load-started', 'load-ended', 'experiment-started', 'experiment-ended'])
    assert.ok(logged.has(kind), `no ${kind} came`);
  assert.ok(messages.some(({ type, settings }) => type === 'events' && settings), 'no change of settings came');
});
