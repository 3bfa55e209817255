/** One run: what it showed, its files, its trials. The same while it is under way and long after. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { linkTo } from '../../domain/address.ts';
import { permission } from '../../state/permission.ts';
import { go } from '../../state/route.ts';
import { experiment } from '../../state/store.ts';
import { deleteRun, fileOf, resumeExperiment } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { when } from '../../ui/format.ts';
import type { RunView, TrialRow } from '../../wire.ts';
import { isUnderWay } from './progress.ts';
import { RunReport } from './run-report.tsx';
import { details, openRun, refreshRuns, type RunDetails } from './runs.ts';
import { Trials } from './trials.tsx';

/** The route `#/experiments/<id>`. */
export function RunPage({ id }: { id: string }) {
  useEffect(() => void openRun(id), [id]);
  const now = details.value;
  if (now.id !== id || now.state === 'reading') return <p class="empty">Reading the results…</p>;
  if (now.state === 'failed') {
    return (
      <p class="empty">
        {now.problem} <a href="#/experiments">All runs</a>
      </p>
    );
  }
  const { run, report } = now.value;
  return (
    <article class="run-page">
      <RunActions run={run} />
      {!report && <Head run={run} />}
      {report && <RunReport report={report} head />}
      <TrialsPart rows={run.rows ?? []} growing={false} />
    </article>
  );
}

/** What the report tells, of a run that has none yet. */
function Head({ run }: { run: RunView }) {
  return (
    <header>
      <h2>
        {run.plan} {run.target && <span>against {run.target}</span>}
      </h2>
      <p class="hint">
        {when(run.startedAt)} · <code>{run.id}</code>
      </p>
      <p>{run.description}</p>
    </header>
  );
}

/** A run that is under way, or has just been: the trials first, and then what they come to so far. */
export function GrowingRun({ details: { run, report }, growing }: { details: RunDetails; growing: boolean }) {
  return (
    <>
      <TrialsPart rows={run.rows ?? []} growing={growing} />
      {report && (
        <details class="so-far" open={growing}>
          <summary>{growing ? 'What it shows so far' : 'What it shows'}</summary>
          <RunReport report={report} head={false} />
        </details>
      )}
    </>
  );
}

function TrialsPart({ rows, growing }: { rows: TrialRow[]; growing: boolean }) {
  return (
    <section class={growing ? 'trials-part is-growing' : 'trials-part'}>
      <h2>Trials</h2>
      <Trials rows={rows} newestFirst={growing} />
    </section>
  );
}

const FILES: Record<string, string> = {
  'report.html': 'Report',
  'results.csv': 'CSV',
  'results.json': 'JSON',
  'plan.toml': 'Plan',
};

function RunActions({ run }: { run: RunView }) {
  const action = useAction();
  const [sure, setSure] = useState(false);
  const running = experiment.value;
  const mine = isUnderWay(running) && running?.id === run.id;
  const permitted = permission.value === 'permitted' && !action.busy;
  const canResume = run.finishedAt === null && run.trials > 0 && !isUnderWay(running);
  const remove = async (): Promise<string> => {
    await deleteRun(run.id);
    void refreshRuns();
    go({ view: 'experiments' });
    return '';
  };
  const resume = async (): Promise<string> => {
    await resumeExperiment(run.id);
    go({ view: 'experiments' });
    return '';
  };
  return (
    <div class="run-actions">
      {run.files.includes('report.html') && (
        <Link href={fileOf(run.id, 'report.html')} primary>
          Open the report
        </Link>
      )}
      <span class="downloads">
        Download
        {Object.entries(FILES)
          .filter(([name]) => run.files.includes(name))
          .map(([name, label]) => (
            <a key={name} href={fileOf(run.id, name, true)} download={`${run.id}-${name}`}>
              {label}
            </a>
          ))}
      </span>
      {run.files.includes('plan.toml') && <Link href={linkTo({ view: 'experiments', params: ['new', run.id] })}>Use its plan</Link>}
      {canResume && (
        <button type="button" disabled={!permitted} onClick={() => void action.run(resume)}>
          Go on with it
        </button>
      )}
      {!mine &&
        (sure ? (
          <>
            <button type="button" class="stop" disabled={!permitted} onClick={() => void action.run(remove)}>
              Delete it for good
            </button>
            <button type="button" onClick={() => setSure(false)}>
              Keep it
            </button>
          </>
        ) : (
          <button type="button" class="quiet" disabled={!permitted} onClick={() => setSure(true)}>
            Delete…
          </button>
        ))}
      <ActionStatus action={action} />
    </div>
  );
}

function Link({ href, primary = false, children }: { href: string; primary?: boolean; children: ComponentChildren }) {
  const elsewhere = href.startsWith('#') ? {} : { target: '_blank', rel: 'noopener' };
  return (
    <a class={primary ? 'button primary' : 'button'} href={href} {...elsewhere}>
      {children}
    </a>
  );
}
