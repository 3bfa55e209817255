/** What the colours in the lines of requests mean. */
import { PHASE_TITLES, PHASES } from '../../domain/waterfall.ts';

/** One line of swatches. */
export function PhaseLegend() {
  return (
    <p class="legend">
      {([...PHASES, 'whole'] as const).map((name) => (
        <span key={name}>
          <i class={`swatch is-${name}`} />
          {PHASE_TITLES[name]}
        </span>
      ))}
    </p>
  );
}
