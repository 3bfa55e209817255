/** Which page this is, and what to do when the server serves another one. */

/** The program's version, `+`, and a digest of the page; build.rs writes it here. */
export const THIS_PAGE = 'swarmq:page-id';

/** Nothing, reload at once, or say it and leave it to the person. */
export type Update = 'none' | 'reload' | 'offer';

/**
 * What `page` does when its server serves `served`, null where that serves none. It is reloaded once for each other page:
 * while servers of several versions run, the reloaded page may come from one and its WebSocket lead to another.
 * `reloadedFor`: the pages for which this was done before, `undefined` where that can't be remembered.
 */
export function updateFor(
  page: string,
  served: string | null,
  reloadedFor: readonly string[] | undefined,
  isTyping: boolean,
): Update {
  const isBuilt = page.includes('+');
  if (!isBuilt || served === null || served === page) return 'none';
  const isNewer = page.localeCompare(served, 'en', { numeric: true }) > 0;
  // Of two pages of one version nobody can tell which is newer.
  const isOlder = versionOf(page) === versionOf(served) || !isNewer;
  return isOlder && reloadedFor && !reloadedFor.includes(served) && !isTyping ? 'reload' : 'offer';
}

const versionOf = (page: string): string => page.replace(/\+.*/, '');
