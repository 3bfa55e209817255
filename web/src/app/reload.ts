/** Reloads a page that is older than its server, but not while somebody types. */
import { effect, signal } from '@preact/signals';
import { connection } from '../state/connection.ts';
import { servedPage } from '../state/store.ts';
import { THIS_PAGE, updateFor } from './update.ts';

/** The server serves another page than this one, and the person may reload. */
export const reloadOffered = signal(false);

const KEY = 'swarmq.reloaded-for';
const FIELDS = 'input, textarea, [contenteditable]';

/** Something was typed and not sent. */
let unsent = false;
addEventListener('input', ({ target }) => {
  if (target instanceof Element && target.matches(FIELDS)) unsent = true;
});
addEventListener('submit', () => {
  unsent = false;
});

/** Compares this page with the one that the server serves, each time the page is connected. */
export function followServer(): void {
  effect(() => {
    if (connection.value.state === 'open') comparePages(servedPage.value);
  });
}

function comparePages(served: string | null): void {
  const isTyping = unsent || document.activeElement?.matches(FIELDS) === true;
  const before = reloadedFor();
  const update = updateFor(THIS_PAGE, served, before, isTyping);
  reloadOffered.value = update === 'offer';
  if (update !== 'reload' || served === null || !before) return;
  sessionStorage.setItem(KEY, JSON.stringify([...before, served]));
  location.reload();
}

/** The pages for which this tab was reloaded; `undefined` where the browser forbids storage. */
function reloadedFor(): string[] | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as string[];
  } catch {
    return undefined;
  }
}
