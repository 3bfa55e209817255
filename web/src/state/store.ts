/** What the page knows. Only the source's frames change it; the views read it. */
import { computed, signal, useComputed, type ReadonlySignal } from '@preact/signals';
import { reduce, UNKNOWN, type Frame, type State } from '../domain/state.ts';
import type { Source } from '../transport/source.ts';
import type { Event, InstanceView, RequestView } from '../wire.ts';
import { clock } from './clock.ts';
import { onNextFrame } from './next-frame.ts';

const state = signal<State>(UNKNOWN);

/** A part of the state, which changes only when that part does. */
const part = <K extends keyof State>(name: K): ReadonlySignal<State[K]> => computed(() => state.value[name]);

export const topology = part('topology');
export const requests = part('requests');
export const requestsLeftOut = part('requestsLeftOut');
export const samples = part('samples');
export const settings = part('settings');
export const experiment = part('experiment');
export const version = part('version');
export const servedPage = part('page');
export const load = part('load');
export const figures = part('figures');
export const rates = computed(() => figures.value?.rates ?? {});

/** Requests, newest first. */
export const newest = computed(() => [...requests.value.values()].toReversed());

/** One instance, for a component that is rendered when this instance changes, and not when others do. */
export const useInstance = (id: string): ReadonlySignal<InstanceView | undefined> =>
  useComputed(() => topology.value.instances[id]);

/** One request, for a component that is rendered when this request changes, and not when others do. */
export const useRequest = (id: string): ReadonlySignal<RequestView | undefined> =>
  useComputed(() => requests.value.get(id));

/** Why a frame could not be taken in, if that happened: this page and its server do not fit. */
export const failure = signal('');

type Watcher = (events: readonly Event[]) => void;
const watchers = new Set<Watcher>();

/** Calls `watcher` with the events of each frame after they were folded in; for what shows events themselves, as motion. */
export function watchEvents(watcher: Watcher): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Shows what a source sends, until the function given back is called. Frames that come close together are one change. */
export function show(source: Source, schedule: (task: () => void) => void = onNextFrame): () => void {
  let waiting: Frame[] = [];
  return source.frames((frame) => {
    // Only a live source has a clock that this one should follow.
    if (!source.seek) clock.follow(frame.now);
    waiting.push(frame);
    if (waiting.length > 1) return;
    schedule(() => {
      const frames = waiting;
      waiting = [];
      takeIn(frames);
    });
  });
}

function takeIn(frames: readonly Frame[]): void {
  try {
    state.value = frames.reduce(reduce, state.peek());
  } catch (error) {
    // What is shown stays as it was before these frames.
    failure.value = error instanceof Error ? error.message : String(error);
    console.error(error);
    return;
  }
  if (frames.some(({ type }) => type === 'snapshot')) {
    failure.value = '';
    // What was before a snapshot is shown as it is, without motion.
    return;
  }
  const events = frames.flatMap((frame) => (frame.type === 'events' ? frame.events : []));
  watchers.forEach((watcher) => watcher(events));
}
