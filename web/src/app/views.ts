/** The views, in the order of the navigation. To add one, write its component and list it here. */
import { computed } from '@preact/signals';
import type { ComponentType } from 'preact';
import { path } from '../state/route.ts';
import { ChartsView } from '../features/metrics/metrics.tsx';
import { ControlView } from '../features/control/control.tsx';
import { ExperimentsView } from '../features/experiments/experiments.tsx';
import { LiveView } from '../features/live/live.tsx';
import { RequestsView } from '../features/requests/requests.tsx';

/** A part of the page with an address of its own. */
export interface View {
  /** The address after `#`, in one part; what follows it is the view's `subject` (`route.ts`). */
  path: `/${string}`;
  title: string;
  Page: ComponentType;
}

const LIVE: View = { path: '/', title: 'Live', Page: LiveView };

export const VIEWS: readonly View[] = [
  LIVE,
  { path: '/requests', title: 'Requests', Page: RequestsView },
  { path: '/charts', title: 'Charts', Page: ChartsView },
  { path: '/control', title: 'Control', Page: ControlView },
  { path: '/experiments', title: 'Experiments', Page: ExperimentsView },
];

/** The view shown; an address that names none shows the first. */
export const view = computed(() => VIEWS.find((known) => known.path === path.value) ?? LIVE);
