/** Load that the server makes, looked after while it runs: it is not among the events. */
import { effect, signal } from '@preact/signals';
import { readLoad } from './api.ts';
import { connection } from './store.ts';
import type { LoadView } from './wire.ts';

const POLL_MS = 1_000;

export const load = signal<LoadView>({ running: false, sent: 0, refused: 0 });

let timer: ReturnType<typeof setTimeout> | undefined;

/** Takes in what the server said of its load, and asks again while that runs. */
export function showLoad(view: LoadView): void {
  load.value = view;
  clearTimeout(timer);
  if (view.running) timer = setTimeout(refresh, POLL_MS);
}

async function refresh(): Promise<void> {
  try {
    showLoad(await readLoad());
  } catch {
    // Without an answer nothing is known to run; when the connection is back it is asked again.
    showLoad({ running: false, sent: 0, refused: 0 });
  }
}

// Another page may have started load before this one was opened, or while it was away.
effect(() => {
  if (connection.value.state === 'open') void refresh();
});
