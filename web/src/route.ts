/** Which view is shown: the part of the address after `#`, so that each view has a link. */
import { computed, signal } from '@preact/signals';

/** The views, in the order of the navigation. */
export const VIEWS = [
  { path: '/', title: 'Live' },
  { path: '/requests', title: 'Requests' },
  { path: '/charts', title: 'Charts' },
  { path: '/control', title: 'Control' },
  { path: '/experiments', title: 'Experiments' },
] as const;

const read = (): string[] => location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);

const parts = signal(read());
addEventListener('hashchange', () => {
  parts.value = read();
});

/** The view shown; an address that names none shows the first. */
export const view = computed(() => VIEWS.find(({ path }) => path === `/${parts.value[0]}`) ?? VIEWS[0]);

/** What the address says after the view, such as an instance's id in `#/control/responder-1`. */
export const subject = computed(() => parts.value.slice(1).join('/'));
