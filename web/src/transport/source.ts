/** Where frames come from: the live server, or a recording. */
import type { Frame } from '../domain/state.ts';

/** Something that sends frames, first a snapshot. */
export interface Source {
  /** Calls `on` for each frame from now on, until the function it gives back is called. */
  frames(on: (frame: Frame) => void): () => void;
  /** Goes to a time, in milliseconds since the epoch. A live source has only the present, and no such call. */
  seek?(at: number): void;
}

/** The time that a source without a present of its own goes by. */
export interface Timeline {
  /** Milliseconds since the epoch. */
  now(): number;
  set(at: number): void;
  pause(): void;
}
