/** What the page knows. Only the socket writes it; the views read it. */
import { batch, computed, signal } from '@preact/signals';
import { foldRates, type Rates } from './rates.ts';
import { foldRequests, requestsFrom, type Requests } from './requests.ts';
import { foldTopology, forget, NOTHING } from './topology.ts';
import type {
  DashboardMessage,
  Event,
  ExperimentView,
  LoadView,
  PageSettings,
  RequestView,
  Sample,
  Topology,
} from './wire.ts';

/** Seconds that the charts look back. */
const SAMPLES_KEPT = 300;

/** How the page stands with the server. */
export type Connection =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'lost'; /** When the next attempt starts, by this page's clock. */ retryAt: number };

export const connection = signal<Connection>({ state: 'connecting' });
export const topology = signal<Topology>(NOTHING);
export const requests = signal<Requests>(new Map());
/** Older requests that the last snapshot had no room for. */
export const requestsLeftOut = signal(0);
export const samples = signal<readonly Sample[]>([]);
export const settings = signal<PageSettings | undefined>(undefined);
/** The experiment that the web tier runs, or ran last. */
export const experiment = signal<ExperimentView | undefined>(undefined);
export const version = signal('');
/** The load that the server makes. */
export const load = signal<LoadView>({ running: false, rate: null, count: null, sent: 0, refused: 0 });
export const rates = signal<Rates>({});

/** Requests, newest first. */
export const newest = computed(() => [...requests.value.values()].reverse());

/** How far the server's clock is ahead of this page's. */
let clockAhead = 0;

/** The time by the server's clock. */
export const serverNow = (): number => Date.now() + clockAhead;

/** Takes in a request as the API tells it, which leaves nothing out. */
export function remember(view: RequestView): void {
  if (requests.value.has(view.requestId)) requests.value = new Map(requests.value).set(view.requestId, view);
}

type Watcher = (events: readonly Event[]) => void;
const watchers = new Set<Watcher>();

/** Calls `watcher` with each batch after it was folded in; for what shows the events themselves, such as motion. */
export function watchEvents(watcher: Watcher): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Takes in what the server sent. */
export function receive(message: DashboardMessage): void {
  clockAhead = message.now - Date.now();
  batch(() => {
    load.value = message.load;
    if (message.type === 'snapshot') {
      topology.value = message.topology;
      requests.value = requestsFrom(message.requests);
      requestsLeftOut.value = message.requestsLeftOut;
      samples.value = message.samples.slice(-SAMPLES_KEPT);
      experiment.value = message.experiment ?? undefined;
      settings.value = message.settings;
      version.value = message.version;
      rates.value = {};
      return;
    }
    const { events, now } = message;
    if (message.settings) settings.value = message.settings;
    rates.value = foldRates(rates.value, topology.value, events);
    topology.value = forget(foldTopology(topology.value, events, now), now);
    requests.value = foldRequests(requests.value, events);
    for (const event of events) if (event.type === 'experiment') experiment.value = event.experiment;
    const fresh = events.flatMap((event) => (event.type === 'sample' ? [event.sample] : []));
    if (fresh.length > 0) samples.value = [...samples.value, ...fresh].slice(-SAMPLES_KEPT);
  });
  if (message.type === 'events') watchers.forEach((watcher) => watcher(message.events));
}
