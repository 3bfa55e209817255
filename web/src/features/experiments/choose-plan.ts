/** Choosing a plan, which takes two questions to the server: its text, and the target that suits it. */
import type { PlanDraft } from '../../state/drafts.ts';
import type { Target } from '../../wire.ts';

/** A plan's text, and the name its runs get. */
export type Plan = Pick<PlanDraft, 'name' | 'text'>;

/** Numbers what is begun, so that an answer can be told from one to a later question. */
export class Latest {
  #begun = 0;

  /** Begins something: the function given back is true until the next is begun. */
  begin(): () => boolean {
    this.#begun += 1;
    const mine = this.#begun;
    return () => mine === this.#begun;
  }
}

/**
 * Loads a plan into the editor, then sets its target. What was chosen or typed meanwhile stays: then the answers, and the
 * failures, of this choice count no more, and it resolves to false.
 */
export async function choosePlan(
  isLatest: () => boolean,
  load: () => Promise<Plan>,
  targetFor: (plan: Plan) => Promise<Target>,
  change: (part: Partial<PlanDraft>) => void,
): Promise<boolean> {
  try {
    const plan = await load();
    if (!isLatest()) return false;
    change(plan);
    const target = await targetFor(plan);
    if (isLatest()) change({ target });
    return true;
  } catch (error) {
    if (isLatest()) throw error;
    return false;
  }
}
