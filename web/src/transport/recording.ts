/** Frames that were recorded: a line of JSON for each, as the server sent it. */
import type { Frame } from '../domain/state.ts';
import type { Source, Timeline } from './source.ts';

/** Milliseconds between two looks at what is due. */
const STEP_MS = 50;

/** Reads a recording. Throws an `Error` that says which line is wrong. */
export function parseRecording(text: string): Frame[] {
  const frames: Frame[] = [];
  text.split('\n').forEach((line, place) => {
    if (line.trim() === '') return;
    const wrong = (why: string): Error => new Error(`Line ${place + 1} of the recording ${why}.`);
    let frame: Partial<Frame> | null;
    try {
      frame = JSON.parse(line) as Partial<Frame> | null;
    } catch {
      throw wrong('is not JSON');
    }
    if (frame?.type !== 'snapshot' && frame?.type !== 'events') throw wrong('is neither a snapshot nor a batch of events');
    if (typeof frame.now !== 'number') throw wrong('has no time (`now`)');
    if (frames.length === 0 && frame.type !== 'snapshot') throw wrong('comes first, and must be a snapshot');
    if (frame.now < (frames.at(-1)?.now ?? 0)) throw wrong('is earlier than the line before it');
    frames.push(frame as Frame);
  });
  if (frames.length === 0) throw new Error('The recording is empty.');
  return frames;
}

/** Plays recorded frames at their times, by a timeline that can be paused, slowed and set. */
export class Recording implements Source {
  readonly #frames: readonly Frame[];
  readonly #timeline: Timeline;
  #on: (frame: Frame) => void = () => {};
  /** Place of the first frame that is still to come. */
  #next = 0;

  /** `frames` begin with a snapshot and are in the order of their times. */
  constructor(frames: readonly Frame[], timeline: Timeline) {
    this.#frames = frames;
    this.#timeline = timeline;
  }

  /** Time of the first frame. */
  get start(): number {
    return this.#frames[0]?.now ?? 0;
  }

  /** Time of the last frame. */
  get end(): number {
    return this.#frames.at(-1)?.now ?? 0;
  }

  frames(on: (frame: Frame) => void): () => void {
    this.#on = on;
    this.seek(this.start);
    const timer = setInterval(() => this.#advance(), STEP_MS);
    return () => clearInterval(timer);
  }

  seek(at: number): void {
    const time = Math.max(this.start, Math.min(this.end, at));
    this.#timeline.set(time);
    this.#next = this.#frames.findLastIndex(({ type, now }) => type === 'snapshot' && now <= time);
    this.#advance();
  }

  #advance(): void {
    const time = this.#timeline.now();
    for (let frame = this.#frames[this.#next]; frame && frame.now <= time; frame = this.#frames[this.#next]) {
      this.#next += 1;
      this.#on(frame);
    }
    if (time <= this.end) return;
    // Nothing comes after the last frame.
    this.#timeline.set(this.end);
    this.#timeline.pause();
  }
}
