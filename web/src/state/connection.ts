/** Where the page's frames come from, and how that stands. */
import { signal } from '@preact/signals';
import { Live, type LinkStatus } from '../transport/live.ts';
import { parseRecording, Recording } from '../transport/recording.ts';
import { clock } from './clock.ts';
import { onNextFrame } from './next-frame.ts';
import { show } from './store.ts';

/** How the page stands with the server; a replay has none. */
export type Connection =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'replay' }
  | { state: 'lost'; /** When the next attempt starts, by the page's clock. */ retryAt: number };

export const connection = signal<Connection>({ state: 'connecting' });

/** The recording that is played, if one is. */
export const recording = signal<Recording | undefined>(undefined);

/** Why a recording can't be played, if it can't. */
export const replayProblem = signal('');

let live: Live | undefined;

/** Shows the server's present. `url`: its WebSocket. */
export function goLive(url: URL): void {
  let latest: LinkStatus;
  live = new Live(url, (status) => {
    latest = status;
    if (status.state === 'lost') connection.value = { state: 'lost', retryAt: clock.now() + status.waitMs };
    // Together with what the first frame says.
    else
      onNextFrame(() => {
        if (status === latest) connection.value = status;
      });
  });
  show(live);
}

/** Connects now instead of at the next attempt. */
export const reconnect = (): void => live?.connect();

/** Plays the recording at an address. */
export async function replay(url: string): Promise<void> {
  connection.value = { state: 'replay' };
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`There is no recording at ${url}: the server answered ${response.status}.`);
    recording.value = new Recording(parseRecording(await response.text()), clock);
    show(recording.value);
  } catch (error) {
    replayProblem.value = error instanceof Error ? error.message : String(error);
  }
}
