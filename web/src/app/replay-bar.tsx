/** Playing a recording: pause, speed, and going to any of its times. */
import { clock } from '../state/clock.ts';
import { recording } from '../state/connection.ts';
import { time } from '../ui/format.ts';

const SPEEDS = [0.25, 1, 4, 16];

/** The bar; there is none while the page shows the present. */
export function ReplayBar() {
  const played = recording.value;
  if (!played) return null;
  const now = clock.tenths.value;
  return (
    <div class="banner replay" role="group" aria-label="Recording">
      <button type="button" onClick={() => (clock.playing ? clock.pause() : clock.play())}>
        {clock.playing ? 'Pause' : 'Play'}
      </button>
      <input
        type="range"
        aria-label="Time"
        min={played.start}
        max={played.end}
        step="any"
        value={now}
        onInput={(event) => played.seek(event.currentTarget.valueAsNumber)}
      />
      <time>{time(now)}</time>
      <label>
        Speed{' '}
        <select value={clock.speed} onChange={(event) => (clock.speed = Number(event.currentTarget.value))}>
          {SPEEDS.map((speed) => (
            <option key={speed} value={speed}>
              × {speed}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
