/** Earlier runs: what each was, what it showed, and two of them to be compared. */
import { useState } from 'preact/hooks';
import { count, plural, rate } from '../../ui/format.ts';
import type { RunView } from '../../wire.ts';

/** The list, newest first. */
export function RunList({ runs, dir }: { runs: RunView[]; dir: string }) {
  const [chosen, setChosen] = useState<string[]>([]);
  const there = chosen.filter((id) => runs.some((run) => run.id === id));
  const toggle = (id: string): void =>
    // The third takes the place of the first.
    setChosen(there.includes(id) ? there.filter((one) => one !== id) : [...there, id].slice(-2));
  const [one, other] = [...there].sort((a, b) => startOf(runs, a) - startOf(runs, b));
  return (
    <section class="run-list" aria-label="Earlier runs">
      <h2>
        Earlier runs <span>in {dir}</span>
      </h2>
      {runs.length === 0 && (
        <p class="empty">
          None yet. What you start here is kept there, with its report; so is what <code>swarmq experiment</code> writes
          to that folder.
        </p>
      )}
      {runs.length > 1 && (
        <p class="compare-line">
          {one && other ? (
            <a class="button" href={`#/experiments/${one}/${other}`}>
              Compare {one} with {other}
            </a>
          ) : (
            <span class="hint">Tick two to compare them.</span>
          )}
        </p>
      )}
      <ul>
        {runs.map((run) => (
          <li key={run.id} class="run">
            <input
              type="checkbox"
              aria-label={`Compare ${run.id}`}
              checked={there.includes(run.id)}
              disabled={run.ended === 0}
              onChange={() => toggle(run.id)}
            />
            <div>
              <h3>
                <a href={`#/experiments/${run.id}`}>{run.plan}</a>{' '}
                <time dateTime={new Date(run.startedAt).toISOString()}>{when(run.startedAt)}</time>
              </h3>
              <p class="run-figures">{figures(run)}</p>
              <p>{run.findings.find((finding) => !finding.isWarning)?.text ?? run.description}</p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

const startOf = (runs: RunView[], id: string): number => runs.find((run) => run.id === id)?.startedAt ?? 0;

/** A time of another day, in full. */
export const when = (at: number): string =>
  new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

function figures({ target, trials, ended, finishedAt, problems, requestsPerS }: RunView): string {
  const parts = [target, finishedAt === null ? `${count(ended)} of ${plural(trials, 'trial')}` : plural(trials, 'trial')];
  if (requestsPerS) {
    const [low, high] = requestsPerS.map(rate);
    parts.push(`${low === high ? low : `${low} to ${high}`} requests/s`);
  }
  if (problems > 0) parts.push(`${count(problems)} with a problem`);
  return parts.filter(Boolean).join(' · ');
}
