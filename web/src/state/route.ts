/** The browser's address as a signal: what can be linked to: view, filters, and the open sheet. The browser's Back and Forward go through it. */
import { computed, signal } from '@preact/signals';
import { linkTo, parseAddress, sheetOf, withSheet, type Address, type SheetOf } from '../domain/address.ts';

const hash = signal(location.hash);

/** What the address says. */
export const route = computed(() => parseAddress(hash.value));

/** The sheet that is open, if one is. */
export const sheet = computed(() => sheetOf(route.value));

/** Where each view was last: its address without a sheet, and how far it was scrolled. */
const visited = signal<Readonly<Record<string, { link: string; scroll: number }>>>({});

// The browser would restore the position before the view is rendered.
history.scrollRestoration = 'manual';
addEventListener('popstate', follow);
addEventListener('hashchange', follow);

function follow(): void {
  if (location.hash === hash.peek()) return;
  const { view, params, query } = route.peek();
  const link = linkTo({ view, params, query: withSheet(query, undefined) });
  visited.value = { ...visited.peek(), [view]: { link, scroll: scrollY } };
  hash.value = location.hash;
}

/** A link to a view as it was last seen, with its filters. */
export const linkToLast = (view: string): string => visited.value[view]?.link ?? linkTo({ view });

/** How far a view was scrolled when it was left; 0 for one that is new. */
export const lastScroll = (view: string): number => visited.peek()[view]?.scroll ?? 0;

/** Goes to another address, to which Back leads away from here. */
export function go(address: Partial<Address>): void {
  history.pushState(null, '', linkTo(address));
  follow();
}

/** Changes the query of the address in place: typing in a filter makes no history. An empty value removes its key. */
export function changeQuery(change: Record<string, string>): void {
  const { view, params, query } = route.peek();
  history.replaceState(history.state, '', linkTo({ view, params, query: { ...query, ...change } }));
  follow();
}

/** Opens a sheet; Back closes it. One sheet after another is one step of the history. */
export function openSheet(opened: SheetOf): void {
  const link = linkTo({ ...route.peek(), query: withSheet(route.peek().query, opened) });
  if (sheet.peek()) history.replaceState(history.state, '', link);
  else history.pushState({ opener: true }, '', link);
  follow();
}

/** Closes the sheet: the same as Back where it was opened here, without a step back where a link led to it. */
export function closeSheet(): void {
  if (!sheet.peek()) return;
  if ((history.state as { opener?: boolean } | null)?.opener) {
    history.back();
    return;
  }
  history.replaceState(null, '', linkTo({ ...route.peek(), query: withSheet(route.peek().query, undefined) }));
  follow();
}
