/**
 * Requests that were asked for over HTTP, with whole bodies and every reply. They are kept apart from those of the frames:
 * an answer may be older than what frames have said meanwhile, and a snapshot has the beginnings of bodies only.
 */
import { signal } from '@preact/signals';
import { readRequest } from '../transport/api.ts';
import type { RequestView } from '../wire.ts';

/** Requests that are kept: bodies may be long. */
const MAX_LOADED = 8;

/** By request id, oldest first. */
export const loaded = signal<ReadonlyMap<string, RequestView>>(new Map());

/** Asks the server for a request. */
export async function loadRequest(id: string, read = readRequest): Promise<void> {
  const view = await read(id);
  const others = [...loaded.peek()].filter(([known]) => known !== id);
  loaded.value = new Map([...others, [id, view] as const].slice(-MAX_LOADED));
}
