/** Two runs side by side. */
import { useEffect, useState } from 'preact/hooks';
import { linkTo } from '../../domain/address.ts';
import { compareRuns } from '../../transport/api.ts';
import type { Comparison } from '../../wire.ts';
import { RunComparison } from './run-report.tsx';
import type { Read } from './runs.ts';

/** The route `#/experiments/<before>/<after>`. */
export function ComparePage({ before, after }: { before: string; after: string }) {
  const [found, setFound] = useState<Read<Comparison>>({ state: 'reading' });
  useEffect(() => {
    let wanted = true;
    setFound({ state: 'reading' });
    compareRuns(before, after).then(
      (value) => wanted && setFound({ state: 'read', value }),
      (error: Error) => wanted && setFound({ state: 'failed', problem: error.message }),
    );
    return () => {
      wanted = false;
    };
  }, [before, after]);
  return (
    <article class="compare-page">
      <header>
        <h2>
          <a href={linkTo({ view: 'experiments', params: [before] })}>{before}</a> <span>and then</span>{' '}
          <a href={linkTo({ view: 'experiments', params: [after] })}>{after}</a>
        </h2>
        <p class="hint">
          <a href={linkTo({ view: 'experiments', params: [after, before] })}>The other way round</a>
        </p>
      </header>
      {found.state === 'reading' && <p class="empty">Comparing…</p>}
      {found.state === 'failed' && <p class="empty">{found.problem}</p>}
      {found.state === 'read' && <RunComparison comparison={found.value} />}
    </article>
  );
}
