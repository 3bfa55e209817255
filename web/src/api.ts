/** The server's HTTP calls. A call that fails throws an `Error` whose message can be shown as it is. */
import type { ExperimentsOverview, ExperimentView, PlanCheck, RunView } from './experiments/wire.ts';
import { token } from './preferences.ts';
import { unsendable } from './token.ts';
import type { Comparison, Report } from './report/results.ts';
import type { Delay, Dispatch, Faults, LoadView, RequestBody, RequestView } from './wire.ts';

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token.value) {
    const problem = unsendable(token.value);
    if (problem) throw new Error(problem);
    headers['Authorization'] = `Bearer ${token.value}`;
  }
  let response: Response;
  try {
    response = await fetch(`api/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new Error('The server cannot be reached.');
  }
  const text = await response.text();
  const answer: unknown = /^[{[]/.test(text) ? JSON.parse(text) : {};
  if (response.ok) return answer as T;
  const { error, msg } = answer as { error?: { message: string }; msg?: unknown };
  if (error) throw new Error(error.message);
  // The dispatcher's calls answer errors as the article's program did.
  const detail = typeof msg === 'string' ? msg : msg ? JSON.stringify(msg) : text;
  throw new Error(detail || `The server answered ${response.status}.`);
}

const instance = (id: string): string => `control/instances/${encodeURIComponent(id)}`;

export const sendRequest = (body: RequestBody) => call<{ requestId: string }>('POST', 'requests', body);
export const readRequest = (id: string) => call<RequestView>('GET', `requests/${encodeURIComponent(id)}`);
export const connectLinks = () => call('GET', 'dispatcher/connect');
export const disconnectLinks = () => call('POST', 'dispatcher/disconnect');

/** Starts load: `count` alone is a burst, `rate` alone goes on until it is stopped. */
export const startLoad = (load: { rate?: number; count?: number; request: RequestBody }) =>
  call<LoadView>('POST', 'load', load);
export const stopLoad = () => call<LoadView>('DELETE', 'load');

export const readControl = () => call<{ permitted: boolean; needsToken: boolean }>('GET', 'control');
export const setWorkers = (id: string, workers: number) => call('PUT', `${instance(id)}/workers`, { workers });
export const setDelay = (delay: Delay) => call('PUT', 'control/delay', delay);
export const setDispatch = (dispatch: Dispatch) => call('PUT', 'control/dispatch', { dispatch });
export const setFaults = (id: string, faults: Faults) => call('PUT', `${instance(id)}/faults`, faults);
export const clearFaults = (id: string) => call('DELETE', `${instance(id)}/faults`);
export const clearAllFaults = () => call('DELETE', 'control/faults');
export const panicWorker = (id: string, index: number) => call('POST', `${instance(id)}/workers/${index}/panic`);
export const stallWorker = (id: string, index: number, ms: number) =>
  call('POST', `${instance(id)}/workers/${index}/stall`, { ms });

/** A plan, what to call it where it does not say, and what to run it against. */
export interface Planned {
  plan: string;
  name: string;
  target: string;
}

const run = (id: string): string => `experiments/runs/${encodeURIComponent(id)}`;

/** Where a file of a run is, relative to the page. */
export const fileOf = (id: string, name: string, download = false): string =>
  `api/v1/${run(id)}/files/${name}${download ? '?download=true' : ''}`;

export const readExperiments = () => call<ExperimentsOverview>('GET', 'experiments');
export const checkPlan = (planned: Planned) => call<PlanCheck>('POST', 'experiments/check', planned);
export const startExperiment = (planned: Planned) => call<ExperimentView>('POST', 'experiments/runs', planned);
export const resumeExperiment = (id: string) => call<ExperimentView>('POST', 'experiments/runs', { resume: id });
export const stopExperiment = () => call<ExperimentView>('DELETE', 'experiments/running');
export const readRuns = () => call<RunView[]>('GET', 'experiments/runs');
export const readRun = (id: string) => call<RunView>('GET', run(id));
export const readReport = (id: string) => call<Report>('GET', `${run(id)}/files/report.json`);
export const deleteRun = (id: string) => call('DELETE', run(id));
export const compareRuns = (before: string, after: string) =>
  call<Comparison>('GET', `experiments/comparison?${new URLSearchParams({ before, after })}`);

/** The text of a run's plan, as it was given. */
export async function readPlan(id: string): Promise<string> {
  const response = await fetch(fileOf(id, 'plan.toml'));
  if (!response.ok) throw new Error(`The plan of ${id} is not there.`);
  return response.text();
}
