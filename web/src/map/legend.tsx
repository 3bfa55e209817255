/** What the marks and dots of the picture mean. */
import { useEffect, useRef } from 'preact/hooks';
import { dark } from '../ui/theme.ts';
import type { WorkerState } from '../wire.ts';
import { paintMark } from './marks.ts';
import { paletteOf } from './palette.ts';

const STATES: WorkerState[] = ['idle', 'busy', 'starting', 'restarting', 'draining', 'gone'];
const SIZE = 14;

/** One line beneath the picture. */
export function Legend() {
  return (
    <p class="legend">
      {STATES.map((state) => (
        <span key={state}>
          <Mark state={state} />
          {state}
        </span>
      ))}
      <span>
        <i class="dot is-message" />
        message
      </span>
      <span>
        <i class="dot is-response" />
        response
      </span>
      <span>
        <i class="dot is-error" />
        error
      </span>
      <span>
        <i class="dot is-timeout" />
        timeout
      </span>
    </p>
  );
}

/** The mark of a worker's state, as the picture draws it. */
export function Mark({ state }: { state: WorkerState }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const isDark = dark.value;
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, SIZE, SIZE);
    paintMark(context, state, SIZE / 2, SIZE / 2, SIZE * 0.74, paletteOf(isDark));
  }, [state, isDark]);
  return <canvas ref={canvas} class="mark" width={SIZE * 2} height={SIZE * 2} aria-hidden="true" />;
}
