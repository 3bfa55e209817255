/** What the Send form holds, and what it asks the server for. */
import type { FanOut, NewRequest, TaskName } from '../wire.ts';

/** What a request may say; what it leaves out is as the program is configured. */
export type RequestBody = Partial<NewRequest>;

export type Mode = 'one' | 'burst' | 'steady';

/** The fields as they were typed. */
export interface SendForm {
  mode: Mode;
  burst: string;
  rate: string;
  task: TaskName | '';
  parameters: string;
  filename: string;
  fanOut: FanOut;
  timeoutMs: string;
}

/** The most requests that the server sends at once. */
export const LARGEST_BURST = 10_000;

/** The form as it starts: one request as the program is configured. */
export const FRESH: SendForm = {
  mode: 'one',
  burst: '100',
  rate: '5',
  task: '',
  parameters: '',
  filename: '',
  fanOut: 'all',
  timeoutMs: '',
};

/** The tasks that a request can name, with parameters to start from. */
export const TASKS: { name: TaskName; example: string }[] = [
  { name: 'file', example: '' },
  { name: 'echo', example: '{"payload": "hello"}' },
  { name: 'cpu', example: '{"rounds": 100000}' },
];

/** The request a form describes. Throws an `Error` that says which field is wrong. */
export function requestFrom(form: SendForm): RequestBody {
  const body: RequestBody = { fanOut: form.fanOut };
  if (form.task) body.task = form.task;
  if (form.filename.trim()) body.filename = form.filename.trim();
  if (form.timeoutMs.trim()) body.timeoutMs = whole('The timeout', form.timeoutMs, 1, 3_600_000);
  if (form.parameters.trim()) body.parameters = parametersFrom(form.parameters);
  return body;
}

/** The load a form describes: a burst has a count, a steady rate has none. */
export function loadFrom(form: SendForm): { rate?: number; count?: number; request: RequestBody } {
  const request = requestFrom(form);
  if (form.mode === 'burst') return { count: whole('The burst', form.burst, 1, LARGEST_BURST), request };
  const rate = Number(form.rate);
  if (!(rate >= 0.1 && rate <= 1_000)) throw new Error('The rate must be from 0.1 to 1000 requests a second.');
  return { rate, request };
}

function parametersFrom(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('The parameters are not JSON; write them as {"name": value}.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('The parameters must be a JSON object, such as {"rounds": 1000}.');
  }
  return value as Record<string, unknown>;
}

function whole(what: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Error(`${what} must be a whole number from ${low} to ${high}.`);
  }
  return value;
}
