/** The views, in the order of the navigation. To add one, write its component and list it here. */
import { computed } from '@preact/signals';
import type { ComponentType } from 'preact';
import { ControlView } from '../features/control/control.tsx';
import { ExperimentsView } from '../features/experiments/experiments.tsx';
import { LiveView } from '../features/live/live.tsx';
import { ChartsView } from '../features/metrics/metrics.tsx';
import { RequestsView } from '../features/requests/requests.tsx';
import { route } from '../state/route.ts';

/** A part of the page with an address of its own. */
export interface View {
  /** The first part of its address; empty for the first view. */
  name: string;
  title: string;
  Page: ComponentType;
}

const LIVE: View = { name: '', title: 'Live', Page: LiveView };

export const VIEWS: readonly View[] = [
  LIVE,
  { name: 'requests', title: 'Requests', Page: RequestsView },
  { name: 'charts', title: 'Charts', Page: ChartsView },
  { name: 'control', title: 'Control', Page: ControlView },
  { name: 'experiments', title: 'Experiments', Page: ExperimentsView },
];

const viewName = computed(() => route.value.view);

/** The view shown; an address that names none shows the first. */
export const view = computed(() => VIEWS.find(({ name }) => name === viewName.value) ?? LIVE);
