/** The page's clock. Nothing else reads the time, so that a recording can be paused, slowed and gone through. */
import { signal } from '@preact/signals';

/** The distance to a server's clock is the largest of the last one to two of these: what arrives late seems earlier. */
const WINDOW_MS = 30_000;

/** A clock that follows a server, or is set. */
export class Clock {
  readonly #wall: () => number;
  /** What the clock showed when `wall` was read. */
  #origin: { time: number; wall: number };
  #ahead = { since: -Infinity, current: -Infinity, former: -Infinity };
  readonly #playing = signal(true);
  readonly #speed = signal(1);
  #timer: ReturnType<typeof setInterval> | undefined;

  /** The time ten times a second, for as long as somebody reads it. */
  readonly tenths = signal(0, {
    watched: () => {
      this.#tick();
      this.#timer = setInterval(() => this.#tick(), 100);
    },
    unwatched: () => clearInterval(this.#timer),
  });

  /** `wall` gives milliseconds since the epoch by a clock that is never set back. */
  constructor(wall: () => number) {
    this.#wall = wall;
    this.#origin = { time: wall(), wall: wall() };
  }

  /** Milliseconds since the epoch, by the server's clock. */
  readonly now = (): number => {
    const { time, wall } = this.#origin;
    return this.#playing.peek() ? time + (this.#wall() - wall) * this.#speed.peek() : time;
  };

  /** False while the time stands still. */
  get playing(): boolean {
    return this.#playing.value;
  }

  /** Seconds shown in a second. */
  get speed(): number {
    return this.#speed.value;
  }

  set speed(speed: number) {
    this.set(this.now());
    this.#speed.value = speed;
  }

  play(): void {
    this.set(this.now());
    this.#playing.value = true;
  }

  pause(): void {
    this.set(this.now());
    this.#playing.value = false;
  }

  /** Sets the time. */
  set(time: number): void {
    this.#origin = { time, wall: this.#wall() };
    this.#tick();
  }

  /** Takes the server's time from a message that has just come. */
  follow(sent: number): void {
    const wall = this.#wall();
    if (wall - this.#ahead.since >= WINDOW_MS) {
      this.#ahead = { since: wall, current: -Infinity, former: this.#ahead.current };
    }
    this.#ahead.current = Math.max(this.#ahead.current, sent - wall);
    this.#origin = { time: wall + Math.max(this.#ahead.current, this.#ahead.former), wall };
  }

  #tick(): void {
    this.tenths.value = this.now();
  }
}

/** The clock of this page. */
export const clock = new Clock(() => performance.timeOrigin + performance.now());
