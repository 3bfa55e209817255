/** The trials of a run, a line each, with small bars to compare them by. */
import { keysOf } from '../../domain/keys.ts';
import { duration, rate } from '../../ui/format.ts';
import type { TrialRow } from '../../wire.ts';

/** Lines that are shown before one asks for all. */
const MAX_ROWS = 200;

/** The table; the newest trial comes first while the run goes on. */
export function Trials({ rows, newestFirst }: { rows: TrialRow[]; newestFirst: boolean }) {
  const factors = [...new Set(rows.flatMap(({ levels }) => keysOf(levels)))];
  const shown = (newestFirst ? rows.toReversed() : rows).slice(0, MAX_ROWS);
  const highest = Math.max(...rows.map((row) => row.requestsPerS));
  const slowest = Math.max(...rows.map((row) => row.p99Us));
  if (rows.length === 0) return <p class="empty">No trial has ended yet: each appears here when it has.</p>;
  return (
    <div class="scroll" role="region" aria-label="Trials" tabIndex={0}>
      <table class="trials">
        <thead>
          <tr>
            <th scope="col" class="number">
              Trial
            </th>
            {factors.map((factor) => (
              <th key={factor} scope="col">
                {factor.replaceAll('_', ' ')}
              </th>
            ))}
            <th scope="col" class="number">
              Repetition
            </th>
            <th scope="col">Requests a second</th>
            <th scope="col">p50, p99</th>
            <th scope="col">
              <span class="unseen">Remarks</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={row.number} class={row.problem ? 'is-off' : undefined}>
              <th scope="row" class="number">
                {row.number + 1}
              </th>
              {factors.map((factor) => (
                <td key={factor}>{row.levels[factor]}</td>
              ))}
              <td class="number">{row.repetition + 1}</td>
              {row.problem ? (
                <td colSpan={3} class="is-problem">
                  {row.problem}
                </td>
              ) : (
                <>
                  <td>
                    <Bar part={row.requestsPerS / highest} />
                    {rate(row.requestsPerS)}
                  </td>
                  <td>
                    <Bar part={row.p99Us / slowest} mark={row.p50Us / slowest} />
                    {duration(row.p50Us / 1_000)}, {duration(row.p99Us / 1_000)}
                  </td>
                  <td class="is-problem">{remarks(row)}</td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > MAX_ROWS && (
        <p class="hint">
          {MAX_ROWS} of {rows.length}: results.csv has them all.
        </p>
      )}
    </div>
  );
}

function Bar({ part, mark }: { part: number; mark?: number }) {
  return (
    <span class="trial-bar" aria-hidden="true">
      <i style={{ width: `${part * 100}%` }} />
      {mark !== undefined && <u style={{ width: `${mark * 100}%` }} />}
    </span>
  );
}

function remarks({ behind, failed }: TrialRow): string {
  return [failed > 0 ? `${failed} failed` : '', behind ? 'load fell behind' : ''].filter(Boolean).join(', ');
}
