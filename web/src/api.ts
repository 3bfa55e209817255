/** The server's HTTP calls. A call that fails throws an `Error` whose message can be shown as it is. */
import { token } from './preferences.ts';
import type { Delay, Dispatch, Faults, LoadView, RequestBody, RequestView } from './wire.ts';

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token.value) headers['Authorization'] = `Bearer ${token.value}`;
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
  const answer: unknown = text.startsWith('{') ? JSON.parse(text) : {};
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
