/** The WebSocket to the server: opens it, reads it, and opens it again when it is lost. */
import type { Frame } from '../domain/state.ts';
import type { Source } from './source.ts';

/** How the page stands with the server. */
export type LinkStatus = { state: 'open' } | { state: 'lost'; /** Milliseconds until the next attempt. */ waitMs: number };

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** The server sends something every second; a connection silent for so long is dead, though nobody has closed it. */
export const SILENCE_MS = 6_000;

/** What is sent by the server that `url` names. */
export class Live implements Source {
  readonly #url: URL;
  readonly #onStatus: (status: LinkStatus) => void;
  #on: (frame: Frame) => void = () => {};
  #attempts = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #socket: WebSocket | undefined;

  constructor(url: URL, onStatus: (status: LinkStatus) => void) {
    this.#url = url;
    this.#onStatus = onStatus;
  }

  frames(on: (frame: Frame) => void): () => void {
    this.#on = on;
    this.connect();
    return () => {
      clearTimeout(this.#timer);
      clearTimeout(this.#watchdog);
      this.#on = () => {};
      const socket = this.#socket;
      this.#socket = undefined;
      socket?.close();
    };
  }

  /** Connects now, also when a later attempt was planned. */
  connect(): void {
    clearTimeout(this.#timer);
    this.#socket?.close();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    let seq: number | undefined;
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return;
      const frame = JSON.parse(data as string) as Frame;
      if (frame.type === 'events' && seq !== undefined && frame.seq !== seq + 1) {
        // Something was missed: only a new snapshot can make the page right again.
        socket.close();
        return;
      }
      const isFirst = seq === undefined;
      seq = frame.seq;
      this.#attempts = 0;
      this.#watch(socket);
      this.#on(frame);
      if (isFirst) this.#onStatus({ state: 'open' });
    };
    socket.onclose = () => this.#lost(socket);
    // From the first moment: a server may accept the connection and then say nothing.
    this.#watch(socket);
  }

  #watch(socket: WebSocket): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      // A dead connection takes long to close; the next attempt does not wait for that.
      this.#lost(socket);
      socket.close();
    }, SILENCE_MS);
  }

  #lost(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    clearTimeout(this.#watchdog);
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    // A random part, so that many pages do not all come back in the same moment.
    const waitMs = longest * (0.7 + 0.3 * Math.random());
    this.#timer = setTimeout(() => this.connect(), waitMs);
    this.#onStatus({ state: 'lost', waitMs });
  }
}
