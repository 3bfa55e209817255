/** The WebSocket to the server: opens it, reads it, and opens it again when it is lost. */
import { comparePages } from '../app/reload.ts';
import { connection, receive } from '../state/store.ts';
import type { DashboardMessage } from '../wire.ts';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** The server says something every second; a connection silent for so long is dead, though nobody closed it. */
const SILENCE_MS = 6_000;

let attempts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let watchdog: ReturnType<typeof setTimeout> | undefined;
let socket: WebSocket | undefined;

/** Connects now, also when a later attempt was planned. */
export function connect(): void {
  clearTimeout(timer);
  socket?.close();
  const opened = new WebSocket(new URL('ws', location.href.replace(/^http/, 'ws').replace(/#.*/, '')));
  socket = opened;
  let seq: number | undefined;
  opened.onmessage = ({ data }) => {
    const message = JSON.parse(data as string) as DashboardMessage;
    if (message.type === 'events' && seq !== undefined && message.seq !== seq + 1) {
      // Something was missed; what the page shows can only be right again after a new snapshot.
      opened.close();
      return;
    }
    seq = message.seq;
    attempts = 0;
    watch(opened);
    receive(message);
    if (message.type === 'snapshot') comparePages(message.page);
    if (connection.value.state !== 'open') connection.value = { state: 'open' };
  };
  opened.onclose = () => lost(opened);
}

function watch(opened: WebSocket): void {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    // A dead connection takes its time to close; nobody need wait for that.
    lost(opened);
    opened.close();
  }, SILENCE_MS);
}

function lost(opened: WebSocket): void {
  if (socket !== opened) return;
  socket = undefined;
  clearTimeout(watchdog);
  retryLater();
}

function retryLater(): void {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts);
  attempts += 1;
  // A random part, so that many pages do not all come back in the same moment.
  const wait = longest * (0.7 + 0.3 * Math.random());
  connection.value = { state: 'lost', retryAt: Date.now() + wait };
  timer = setTimeout(connect, wait);
}
