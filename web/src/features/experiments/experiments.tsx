/** Experiments: a plan is started and watched, earlier runs are looked at and compared. */
import { useEffect } from 'preact/hooks';
import { linkTo } from '../../domain/address.ts';
import { connection } from '../../state/connection.ts';
import { route } from '../../state/route.ts';
import { experiment } from '../../state/store.ts';
import { PermissionNote } from '../control/permission.tsx';
import { ComparePage } from './compare-page.tsx';
import { NewRun } from './new-run.tsx';
import { isUnderWay } from './progress.ts';
import { RunList } from './run-list.tsx';
import { GrowingRun, RunPage } from './run-page.tsx';
import { details, followExperiment, openRun, overview, runs } from './runs.ts';
import { Watch } from './watch.tsx';

/** The routes `#/experiments`, `…/<run>`, `…/<run>/<run>` and `…/new/<run>`. */
export function ExperimentsView() {
  useEffect(followExperiment, []);
  const [first, second] = route.value.params;
  return (
    <div class="experiments-view">
      {first === undefined || first === 'new' ? (
        <ExperimentsHome given={second ?? ''} />
      ) : (
        <>
          <p class="back">
            <a href="#/experiments">← All experiments</a>
          </p>
          {second === undefined ? <RunPage id={first} /> : <ComparePage before={first} after={second} />}
        </>
      )}
    </div>
  );
}

function ExperimentsHome({ given }: { given: string }) {
  const now = experiment.value;
  const id = now?.id;
  useEffect(() => {
    if (id) void openRun(id);
  }, [id]);
  const shown = details.value;
  const about = overview.value;
  const list = runs.value.state === 'read' ? runs.value.value : [];
  // The list has it too, with what it has come to so far.
  const earlier = list.filter((run) => !(isUnderWay(now) && run.id === now?.id));
  return (
    <>
      <PermissionNote />
      {now && (
        <div class="watching">
          <Watch view={now} />
          {shown.id === now.id && shown.state === 'read' && <GrowingRun details={shown.value} growing={isUnderWay(now)} />}
          {!isUnderWay(now) && (
            <p>
              <a href={linkTo({ view: 'experiments', params: [now.id] })}>Its page, with its report and files</a>
            </p>
          )}
        </div>
      )}
      {about.state === 'reading' && connection.value.state !== 'replay' && <p class="empty">Asking the server for its plans…</p>}
      {about.state === 'failed' && <p class="empty is-problem">{about.problem}</p>}
      {about.state === 'read' && (
        <div class="bench">
          <NewRun overview={about.value} runs={earlier} given={given} />
          {runs.value.state === 'failed' ? (
            <p class="empty is-problem">{runs.value.problem}</p>
          ) : (
            runs.value.state === 'read' && <RunList runs={earlier} dir={about.value.dir} />
          )}
        </div>
      )}
    </>
  );
}
