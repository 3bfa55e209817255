/** What the page knows, as a pure fold of what a source sends: no clock, no browser, no rendering. */
import type {
  DashboardMessage,
  ExperimentView,
  Figures,
  LoadView,
  PageSettings,
  Sample,
  Topology,
} from '../wire.ts';
import { foldRequests, REQUESTS_KEPT, requestsFrom, type Requests } from './requests.ts';
import { foldTopology, forget, NOTHING } from './topology.ts';

/** One message of a source: the whole state, or what happened since the last message. */
export type Frame = DashboardMessage;

/** Seconds that the charts look back. */
const SAMPLES_KEPT = 300;

/** Everything that frames say. */
export interface State {
  topology: Topology;
  requests: Requests;
  /** Older requests that the last snapshot had no room for. */
  requestsLeftOut: number;
  samples: readonly Sample[];
  settings: PageSettings | undefined;
  /** The experiment that the web tier runs, or ran last. */
  experiment: ExperimentView | undefined;
  /** The load that the server makes. */
  load: LoadView;
  /** Of the program. */
  version: string;
  /** The id of the page that the server serves; `null`: it serves none, or nothing is known of it. */
  page: string | null;
  /** The deployment's figures, as the server makes them. */
  figures: Figures | undefined;
}

/** Before the first frame. */
export const UNKNOWN: State = {
  topology: NOTHING,
  requests: new Map(),
  requestsLeftOut: 0,
  samples: [],
  settings: undefined,
  experiment: undefined,
  load: { running: false, rate: null, count: null, sent: 0, refused: 0 },
  version: '',
  page: null,
  figures: undefined,
};

/** The state after a frame. Parts that the frame does not change are the same objects as before. */
export function reduce(state: State, frame: Frame): State {
  const { now, load } = frame;
  if (frame.type === 'snapshot') {
    const { topology, requests, requestsLeftOut, settings, version, page, figures } = frame;
    return {
      topology,
      requests: requestsFrom(requests),
      requestsLeftOut,
      samples: frame.samples.slice(-SAMPLES_KEPT),
      settings,
      experiment: frame.experiment ?? undefined,
      load,
      version,
      page,
      figures,
    };
  }
  const topology = forget(foldTopology(state.topology, frame.events, now), now);
  let { samples, experiment, figures } = state;
  const settings = frame.settings ?? state.settings;
  for (const event of frame.events) {
    if (event.type === 'experiment') experiment = event.experiment;
    if (event.type === 'figures') figures = event.figures;
    if (event.type === 'sample') samples = [...samples, event.sample].slice(-SAMPLES_KEPT);
  }
  return {
    ...state,
    topology,
    requests: foldRequests(state.requests, frame.events, requestsKept(settings)),
    samples,
    settings,
    experiment,
    load,
    figures,
  };
}

/** How many requests are kept: as many as the server keeps, where it says so. */
function requestsKept(settings: PageSettings | undefined): number {
  return settings?.keepRequests ?? REQUESTS_KEPT;
}
