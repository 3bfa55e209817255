/** When the page is rendered: once for each frame of the screen. */

/** A hidden page gets no frames; it is kept up to date at this pace, so that it is right when it is shown again. */
const HIDDEN_MS = 1_000;

/** Runs `task` with the next frame of the screen, or after a second where there is none. */
export function onNextFrame(task: () => void): void {
  const run = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    task();
  };
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, HIDDEN_MS);
}
