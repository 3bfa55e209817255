/** A plan is chosen, edited, checked as it is typed, and started. */
import { useEffect, useState } from 'preact/hooks';
import { planDraft, type PlanDraft } from '../../state/drafts.ts';
import { permission } from '../../state/permission.ts';
import { experiment } from '../../state/store.ts';
import { checkPlan, readPlan, startExperiment } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { Choice } from '../../ui/choice.tsx';
import { plural } from '../../ui/format.ts';
import type { Overview, PlanText, RunView, Target, Verdict } from '../../wire.ts';
import { choosePlan, Latest, type Plan } from './choose-plan.ts';
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

const plannedOf = ({ name, text, target }: Pick<PlanDraft, 'name' | 'text' | 'target'>): PlanText => ({
  plan: text,
  name,
  target,
});

/** The first ready-made plan, which is in the editor until something else is. */
function firstDraft({ plans: [first] }: Overview): PlanDraft {
  const name = first?.name ?? 'plan';
  return { origin: `plan:${name}`, name, text: first?.text ?? '', target: 'running' };
}

type CheckState = { state: 'unasked' } | { state: 'checking' } | { state: 'checked'; check: Verdict } | { state: 'failed'; problem: string };

/** The form. `given` is a run whose plan is to be used again. */
export function NewRun({ overview, runs, given }: { overview: Overview; runs: RunView[]; given: string }) {
  const draft = planDraft.value ?? firstDraft(overview);
  const change = (part: Partial<PlanDraft>): void => {
    planDraft.value = { ...draft, ...planDraft.peek(), ...part };
  };
  const { verdict, isCurrent } = useVerdict(draft, permission.value === 'permitted');
  const action = useAction();
  const [latest] = useState(() => new Latest());

  const choose = (origin: string): Promise<boolean> => {
    change({ origin });
    const run = runs.find((one) => `run:${one.id}` === origin);
    return choosePlan(
      latest.begin(),
      () => loadPlan(origin, run, overview),
      (plan) => targetFor(plan, run, overview),
      change,
    );
  };
  const type = (part: Partial<PlanDraft>): void => {
    latest.begin();
    change(part);
  };
  useEffect(() => {
    // What was changed of this plan since goes before it.
    if (given && planDraft.peek()?.origin !== `run:${given}`) {
      void action.run(async () => ((await choose(`run:${given}`)) ? `The plan of ${given} is here to be changed.` : ''));
    }
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
  const blocked = startBlockedReason(overview);
  const ready = isCurrent && verdict.state === 'checked' && !problem && !blocked && !action.busy;
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
          <select
            value={draft.origin}
            onChange={({ currentTarget: { value } }) => void action.run(async () => (await choose(value), ''))}
          >
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
          onChange={(text) => type({ text })}
        />
        <Choice
          legend="Run against"
          value={draft.target}
          options={TARGETS.filter(({ value }) => !unavailableReason(overview, value))}
          onChange={(target) => type({ target })}
        />
        <p class="hint">{MEANING[draft.target]}</p>
        <UnavailableTargets overview={overview} />
        <div class="start">
          <button type="submit" class="primary" disabled={!ready}>
            Start
          </button>
          <output id="plan-verdict" aria-live="polite">
            <VerdictLine verdict={verdict} />
          </output>
        </div>
        {blocked && <p class="hint">{blocked}</p>}
        <ActionStatus action={action} />
      </form>
    </section>
  );
}

const unavailableReason = (overview: Overview, target: Target): string | null =>
  overview.targets.find(({ name }) => name === target)?.refused ?? null;

/** The targets that can't be chosen, and why. */
function UnavailableTargets({ overview }: { overview: Overview }) {
  const refused = TARGETS.filter(({ value }) => unavailableReason(overview, value));
  if (refused.length === 0) return null;
  return (
    <details class="refused">
      <summary>Why not {refused.map(({ value }) => value).join(', ')}?</summary>
      {refused.map(({ value, label }) => (
        <p key={value} class="hint">
          {label}: {unavailableReason(overview, value)}
        </p>
      ))}
    </details>
  );
}

/** Why nothing can be started now, whatever the plan is. */
function startBlockedReason({ unwritable }: Overview): string {
  if (isUnderWay(experiment.value)) return 'One experiment runs at a time: the next can start when this one has ended.';
  if (unwritable) return `Nothing can be started: ${unwritable}.`;
  return permission.value === 'permitted' ? '' : 'To check a plan and to start it takes the same permission as the controls.';
}

/** The plan of `plan:` and a ready-made one's name, or of `run:` and a run's id. */
async function loadPlan(origin: string, run: RunView | undefined, overview: Overview): Promise<Plan> {
  const name = origin.slice(origin.indexOf(':') + 1);
  if (origin.startsWith('run:')) return { name: run?.plan ?? name, text: await readPlan(name) };
  return { name, text: overview.plans.find((one) => one.name === name)?.text ?? '' };
}

/** The target that a plan's former run had, or else one that suits it. */
async function targetFor(plan: Plan, run: RunView | undefined, overview: Overview): Promise<Target> {
  const former = TARGETS.find(({ value }) => value === run?.target && !unavailableReason(overview, value))?.value;
  return former ?? suitableTarget(plan, overview);
}

/** The target that a plan names, or the first that can carry it out. */
async function suitableTarget({ name, text }: Plan, overview: Overview): Promise<Target> {
  const own = targetOf(text);
  const usable = TARGETS.map(({ value }) => value).filter((value) => !unavailableReason(overview, value));
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

/**
 * What the server says of a plan, a moment after it was last changed; it is asked by those who may start it. Until it has
 * answered, the last verdict stays: it is not current, so that no plan can be started that nobody has checked.
 */
function useVerdict(
  { name, text, target }: PlanDraft,
  isPermitted: boolean,
): { verdict: CheckState; isCurrent: boolean } {
  const [last, setLast] = useState<{ of: string; verdict: CheckState }>({ of: '', verdict: { state: 'checking' } });
  const wanted = JSON.stringify([name, text, target]);
  useEffect(() => {
    if (!isPermitted) return undefined;
    let isLatest = true;
    const say = (verdict: CheckState): void => {
      // Answers may overtake one another.
      if (isLatest) setLast({ of: wanted, verdict });
    };
    const timer = setTimeout(() => {
      checkPlan(plannedOf({ name, text, target })).then(
        (check) => say({ state: 'checked', check }),
        (error: Error) => say({ state: 'failed', problem: error.message }),
      );
    }, PAUSE_MS);
    return () => {
      isLatest = false;
      clearTimeout(timer);
    };
  }, [wanted, isPermitted]);
  return isPermitted
    ? { verdict: last.verdict, isCurrent: last.of === wanted }
    : { verdict: { state: 'unasked' }, isCurrent: false };
}
