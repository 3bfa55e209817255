/** The server's HTTP calls. A call that fails throws an `Error` whose message can be shown as it is. */
import type { RequestBody } from '../domain/send-form.ts';
import { unsendable } from './token.ts';
import type {
  Changed,
  Comparison,
  Connection,
  ControlAccess,
  Delay,
  Dispatch,
  DispatchChoice,
  ErrorAnswer,
  ExperimentView,
  Faults,
  LoadView,
  NewLoad,
  NewRun,
  NoConnection,
  Overview,
  PlanText,
  PoolSize,
  Report,
  RequestView,
  RunView,
  Stall,
  TakenOn,
  Verdict,
} from '../wire.ts';

let tokenOf = (): string => '';

/** Says where the control token is read from, which each call shows to the server; without one, none is shown. */
export function authorizeWith(read: () => string): void {
  tokenOf = read;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const token = tokenOf();
  if (token) {
    const problem = unsendable(token);
    if (problem) throw new Error(problem);
    headers['Authorization'] = `Bearer ${token}`;
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
  const { error, msg } = answer as Partial<ErrorAnswer & NoConnection>;
  if (error) throw new Error(error.message);
  // The dispatcher's calls answer errors as the article's program did.
  const detail = typeof msg === 'string' ? msg : msg ? JSON.stringify(msg) : text;
  throw new Error(detail || `The server answered ${response.status}.`);
}

const instance = (id: string): string => `control/instances/${encodeURIComponent(id)}`;

export const sendRequest = (body: RequestBody) => call<TakenOn>('POST', 'requests', body);
export const readRequest = (id: string) => call<RequestView>('GET', `requests/${encodeURIComponent(id)}`);
export const connectLinks = () => call<Connection>('GET', 'dispatcher/connect');
export const disconnectLinks = () => call<Connection>('POST', 'dispatcher/disconnect');

/** Starts load: `count` alone is a burst, `rate` alone goes on until it is stopped. */
export const startLoad = (load: Omit<NewLoad, 'request'> & { request: RequestBody }) =>
  call<LoadView>('POST', 'load', load);
export const stopLoad = () => call<LoadView>('DELETE', 'load');

/** A call that changes the deployment. */
const change = (method: string, path: string, body?: unknown) => call<Changed>(method, path, body);

export const readControl = () => call<ControlAccess>('GET', 'control');
export const setWorkers = (id: string, workers: number) =>
  change('PUT', `${instance(id)}/workers`, { workers } satisfies PoolSize);
export const setDelay = (delay: Delay) => change('PUT', 'control/delay', delay);
export const setDispatch = (dispatch: Dispatch) =>
  change('PUT', 'control/dispatch', { dispatch } satisfies DispatchChoice);
export const setFaults = (id: string, faults: Faults) => change('PUT', `${instance(id)}/faults`, faults);
export const clearFaults = (id: string) => change('DELETE', `${instance(id)}/faults`);
export const clearAllFaults = () => change('DELETE', 'control/faults');
export const panicWorker = (id: string, index: number) => change('POST', `${instance(id)}/workers/${index}/panic`);
export const stallWorker = (id: string, index: number, ms: number) =>
  change('POST', `${instance(id)}/workers/${index}/stall`, { ms } satisfies Stall);

const run = (id: string): string => `experiments/runs/${encodeURIComponent(id)}`;

/** Where a file of a run is, relative to the page. */
export const fileOf = (id: string, name: string, download = false): string =>
  `api/v1/${run(id)}/files/${name}${download ? '?download=true' : ''}`;

export const readExperiments = () => call<Overview>('GET', 'experiments');
export const checkPlan = (planned: PlanText) => call<Verdict>('POST', 'experiments/check', planned);
export const startExperiment = (planned: PlanText) => call<ExperimentView>('POST', 'experiments/runs', planned satisfies NewRun);
export const resumeExperiment = (id: string) => call<ExperimentView>('POST', 'experiments/runs', { resume: id } satisfies NewRun);
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
