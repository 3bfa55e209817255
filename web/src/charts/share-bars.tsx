/** Bars of who did how much of the work. */
import { brief, count, percent, plural } from '../ui/format.ts';
import type { Share } from '../domain/shares.ts';

/** Bars shown one by one; the others are one bar together. */
const MOST = 24;

/** A list of bars; the dashed line is where each would be if all did the same. */
export function ShareBars({ title, shares }: { title: string; shares: Share[] }) {
  const shown = shares.slice(0, MOST);
  const rest = shares.slice(MOST);
  const even = shares.length > 0 ? 1 / shares.length : 0;
  const longest = Math.max(even, ...shown.map(({ share }) => share));
  return (
    <section class="shares" aria-label={title}>
      <h2>
        {title} <span>an even share is {percent(even)}</span>
      </h2>
      {shares.length === 0 && (
        <p class="empty">
          No responder is connected: start one with <code>swarmq responder</code>.
        </p>
      )}
      <ol>
        {shown.map(({ name, handled, share }) => (
          <li key={name}>
            <code title={name}>{brief(name)}</code>
            <span class="share-track" aria-hidden="true">
              <i style={{ width: `${longest > 0 ? (share / longest) * 100 : 0}%` }} />
              <u style={{ left: `${longest > 0 ? (even / longest) * 100 : 0}%` }} />
            </span>
            <b>{percent(share)}</b>
            <small>{count(handled)}</small>
          </li>
        ))}
      </ol>
      {rest.length > 0 && (
        <p class="hint">
          and {plural(rest.length, 'other')} with {percent(rest.reduce((sum, { share }) => sum + share, 0))} together
        </p>
      )}
    </section>
  );
}
