/** A plan is picked, edited, checked as it is typed, and started. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { checkPlan, readPlan, startExperiment } from '../../transport/api.ts';
import { permission } from '../control/permission.tsx';
import { plural } from '../../ui/format.ts';
import { experiment } from '../../state/store.ts';
import { Said, useAction } from '../../ui/action.tsx';
import { Choice } from '../../ui/choice.tsx';
import type { Overview, PlanText, RunView, Target, Verdict } from '../../wire.ts';
import { PlanEditor } from './editor.tsx';
import { targetOf } from './plan-text.ts';
import { isUnderWay, roughly } from './progress.ts';

/** After the last key, before the plan is checked. */
const PAUSE_MS = 300;

const TARGETS = [
  { value: 'running', label: 'This deployment' },
  { value: 'in-process', label: 'One process' },
  { value: 'processes', label: 'Processes' },
  { value: 'swarm', label: 'Swarm' },
] as const satisfies { value: Target; label: string }[];

const MEANING: Record<Target, string> = {
  running: 'What this page shows is changed for each trial, loaded, and left as it was found.',
  'in-process': 'Each trial has tiers of its own, together in one process on this machine.',
  processes: 'Each trial has tiers of its own, a process for each instance, on this machine.',
  swarm: 'A deployed stack, scaled for each trial.',
};

interface Draft {
  name: string;
  text: string;
  target: Target;
}

const plannedOf = ({ name, text, target }: Draft): PlanText => ({ plan: text, name, target });

type CheckState = { state: 'unasked' } | { state: 'checking' } | { state: 'checked'; check: Verdict } | { state: 'failed'; problem: string };

/** Kept while other views are shown. */
let kept: Draft | undefined;

/** The form. `given` is a run whose plan is to be used again. */
export function NewRun({ overview, runs, given }: { overview: Overview; runs: RunView[]; given: string }) {
  const first = overview.plans[0];
  const [draft, setDraft] = useState<Draft>(
    () => kept ?? { name: first?.name ?? 'plan', text: first?.text ?? '', target: 'running' },
  );
  const [picked, setPicked] = useState(`plan:${draft.name}`);
  const verdict = useVerdict(draft, permission.value === 'permitted');
  const action = useAction();
  kept = draft;

  const pick = async (choice: string): Promise<void> => {
    setPicked(choice);
    const [kind, name = ''] = [choice.slice(0, choice.indexOf(':')), choice.slice(choice.indexOf(':') + 1)];
    const run = kind === 'run' ? runs.find((one) => one.id === name) : undefined;
    const plan = overview.plans.find((one) => one.name === name);
    const text = kind === 'plan' ? (plan?.text ?? '') : await readPlan(name);
    const found = { name: kind === 'plan' ? name : (run?.plan ?? name), text };
    setDraft((current) => ({ ...current, ...found }));
    const former = TARGETS.find(({ value }) => value === run?.target && !refusal(overview, value))?.value;
    const target = former ?? (await fitting(found, overview));
    // Unless the text has been changed while the server was asked.
    setDraft((current) => (current.text === text ? { ...current, target } : current));
  };
  useEffect(() => {
    if (given) void action.run(async () => (await pick(`run:${given}`), `The plan of ${given} is here to be changed.`));
  }, [given]);

  const start = async (): Promise<string> => {
    await startExperiment(plannedOf(draft));
    // What is to be watched now is at the top.
    scrollTo({ top: 0 });
    document.getElementById('main')?.focus({ preventScroll: true });
    return '';
  };

  const problem =
    verdict.state === 'checked' && 'problem' in verdict.check ? verdict.check.problem : undefined;
  const blocked = blockedBy(overview);
  const ready = verdict.state === 'checked' && !problem && !blocked && !action.busy;
  return (
    <section class="new-run" aria-label="New experiment">
      <h2>New experiment</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(start);
        }}
      >
        <label class="plan-choice">
          Start from
          <select value={picked} onChange={(event) => void action.run(async () => (await pick(event.currentTarget.value), ''))}>
            <optgroup label="Ready-made plans">
              {overview.plans.map(({ name }) => (
                <option key={name} value={`plan:${name}`}>
                  {name}
                </option>
              ))}
            </optgroup>
            {runs.length > 0 && (
              <optgroup label="Earlier runs">
                {runs
                  .filter(({ files }) => files.includes('plan.toml'))
                  .map(({ id }) => (
                    <option key={id} value={`run:${id}`}>
                      {id}
                    </option>
                  ))}
              </optgroup>
            )}
          </select>
        </label>
        <PlanEditor
          text={draft.text}
          problem={problem}
          disabled={false}
          onChange={(text) => setDraft({ ...draft, text })}
        />
        <Choice
          legend="Run against"
          value={draft.target}
          options={TARGETS.filter(({ value }) => !refusal(overview, value))}
          onChange={(target) => setDraft({ ...draft, target })}
        />
        <p class="hint">{MEANING[draft.target]}</p>
        <Refused overview={overview} />
        <div class="start">
          <button type="submit" class="primary" disabled={!ready}>
            Start
          </button>
          <output id="plan-verdict" aria-live="polite">
            <VerdictLine verdict={verdict} />
          </output>
        </div>
        {blocked && <p class="hint">{blocked}</p>}
        <Said action={action} />
      </form>
    </section>
  );
}

const refusal = (overview: Overview, target: Target): string | null =>
  overview.targets.find(({ name }) => name === target)?.refused ?? null;

/** The targets that can't be chosen, and why. */
function Refused({ overview }: { overview: Overview }) {
  const refused = TARGETS.filter(({ value }) => refusal(overview, value));
  if (refused.length === 0) return null;
  return (
    <details class="refused">
      <summary>Why not {refused.map(({ value }) => value).join(', ')}?</summary>
      {refused.map(({ value, label }) => (
        <p key={value} class="hint">
          {label}: {refusal(overview, value)}
        </p>
      ))}
    </details>
  );
}

/** Why nothing can be started now, whatever the plan is. */
function blockedBy({ unwritable }: Overview): string {
  if (isUnderWay(experiment.value)) return 'One experiment runs at a time: the next can start when this one has ended.';
  if (unwritable) return `Nothing can be started: ${unwritable}.`;
  return permission.value === 'permitted' ? '' : 'To check a plan and to start it takes the same permission as the controls.';
}

/** The target that a plan names, or the first that can carry it out. */
async function fitting({ name, text }: Omit<Draft, 'target'>, overview: Overview): Promise<Target> {
  const own = targetOf(text);
  const usable = TARGETS.map(({ value }) => value).filter((value) => !refusal(overview, value));
  const candidates = [...usable].sort((a, b) => Number(b === own) - Number(a === own));
  if (permission.value !== 'permitted') return candidates[0] ?? 'running';
  for (const target of candidates) {
    const check = await checkPlan(plannedOf({ name, text, target }));
    if ('trials' in check) return target;
  }
  return candidates[0] ?? 'running';
}

function VerdictLine({ verdict }: { verdict: CheckState }) {
  if (verdict.state === 'unasked') return null;
  if (verdict.state === 'checking') return <>Checking…</>;
  if (verdict.state === 'failed') return <span class="is-problem">{verdict.problem}</span>;
  if ('problem' in verdict.check) return <span class="is-problem">This plan can’t be carried out.</span>;
  const { trials, timeMs } = verdict.check;
  return (
    <>
      <b>{plural(trials, 'trial')}</b>, up to {roughly(timeMs)}
    </>
  );
}

/** What the server says of a plan, a moment after it was last changed; it is asked by those who may start it. */
function useVerdict({ name, text, target }: Draft, permitted: boolean): CheckState {
  const [verdict, setVerdict] = useState<CheckState>({ state: 'unasked' });
  const latest = useRef(0);
  useEffect(() => {
    latest.current += 1;
    const mine = latest.current;
    const say = (said: CheckState): void => {
      // Answers may overtake one another.
      if (mine === latest.current) setVerdict(said);
    };
    if (!permitted) {
      setVerdict({ state: 'unasked' });
      return;
    }
    setVerdict((last) => (last.state === 'unasked' ? { state: 'checking' } : last));
    const timer = setTimeout(() => {
      checkPlan(plannedOf({ name, text, target })).then(
        (check) => say({ state: 'checked', check }),
        (error: Error) => say({ state: 'failed', problem: error.message }),
      );
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [name, text, target, permitted]);
  return verdict;
}
