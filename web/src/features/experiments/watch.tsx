/** The experiment that runs: how far it is, the trial under way, and the way to stop it. */
import { clock } from '../../state/clock.ts';
import { permission } from '../../state/permission.ts';
import { stopExperiment } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { count, duration, plural, rate } from '../../ui/format.ts';
import type { ExperimentState, ExperimentView } from '../../wire.ts';
import { isUnderWay, levelsInWords, partDone, roughly, timeLeft } from './progress.ts';

const WORDS: Record<ExperimentState, string> = {
  starting: 'starting',
  running: 'running',
  stopping: 'stopping: what is measured is being written',
  finished: 'finished',
  stopped: 'stopped',
  failed: 'failed',
};

/** Progress while it runs, and what became of it afterwards. */
export function Watch({ view }: { view: ExperimentView }) {
  const underWay = isUnderWay(view);
  const now = underWay ? clock.tenths.value : 0;
  const action = useAction();
  const done = partDone(view);
  const stop = async (): Promise<string> => {
    await stopExperiment();
    return 'Asked to stop: the trials that have ended are kept.';
  };
  return (
    <section class={`watch is-${view.state}`} aria-label="Experiment">
      <header>
        <h2>
          {view.plan} <span>against {view.target}</span>
        </h2>
        <span class="state" role="status">
          {WORDS[view.state]}
        </span>
        {underWay && (
          <button
            type="button"
            class="stop"
            disabled={action.busy || view.state === 'stopping' || permission.value !== 'permitted'}
            onClick={() => void action.run(stop)}
          >
            Stop
          </button>
        )}
      </header>
      <progress max={1} value={done} aria-label="Trials done" />
      <p class="watch-line">
        <b>
          {count(view.ended)} of {plural(view.trials, 'trial')}
        </b>
        {view.problems > 0 && <span class="is-problem">{count(view.problems)} with a problem</span>}
        {underWay && view.trials > 0 && <span>{roughly(timeLeft(view, now))} left</span>}
        {!underWay && view.endedAt !== undefined && <span>in {duration(view.endedAt - view.startedAt)}</span>}
      </p>
      {underWay && <TrialLine view={view} />}
      {view.reason && <pre class="reason">{view.reason}</pre>}
      <ActionStatus action={action} />
    </section>
  );
}

function TrialLine({ view: { trial, trials } }: { view: ExperimentView }) {
  if (!trial) return <p class="watch-trial">…</p>;
  const { number, levels, repetition, elapsedMs, totalMs, sent, ended, requestsPerS } = trial;
  return (
    <p class="watch-trial">
      <span>
        Trial {count(number + 1)} of {count(trials)}: <b>{levelsInWords(levels)}</b>, repetition {repetition + 1}
      </span>
      {elapsedMs === null || totalMs === null ? (
        <span>the deployment is made ready</span>
      ) : (
        <span>
          {duration(elapsedMs)} of {duration(totalMs)}, {count(sent)} sent, {count(ended)} ended, {rate(requestsPerS)}/s
        </span>
      )}
    </p>
  );
}
