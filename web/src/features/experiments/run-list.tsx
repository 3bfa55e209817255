/** Earlier runs: what each was, what it showed, and two of them to be compared. */
import { linkTo } from '../../domain/address.ts';
import { changeQuery, route } from '../../state/route.ts';
import { count, dateTime, plural, rate, when } from '../../ui/format.ts';
import type { RunView } from '../../wire.ts';

/** The list, newest first. */
export function RunList({ runs, dir }: { runs: RunView[]; dir: string }) {
  const chosen = (route.value.query['compare'] ?? '').split(',');
  const there = chosen.filter((id) => runs.some((run) => run.id === id));
  const toggle = (id: string): void =>
    // The third takes the place of the first.
    changeQuery({ compare: (there.includes(id) ? there.filter((one) => one !== id) : [...there, id].slice(-2)).join() });
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
            <a class="button" href={linkTo({ view: 'experiments', params: [one, other] })}>
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
                <a href={linkTo({ view: 'experiments', params: [run.id] })}>{run.plan}</a>{' '}
                <time dateTime={new Date(run.startedAt).toISOString()} title={dateTime(run.startedAt)}>{when(run.startedAt)}</time>
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

function figures({ target, trials, ended, finishedAt, problems, requestsPerS }: RunView): string {
  const parts = [target, finishedAt === null ? `${count(ended)} of ${plural(trials, 'trial')}` : plural(trials, 'trial')];
  if (requestsPerS) {
    const [low, high] = requestsPerS.map(rate);
    parts.push(`${low === high ? low : `${low} to ${high}`} requests/s`);
  }
  if (problems > 0) parts.push(`${count(problems)} with a problem`);
  return parts.filter(Boolean).join(' · ');
}
