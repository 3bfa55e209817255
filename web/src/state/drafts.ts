/** Texts that are being written, which are too long for the address: they last as long as the page. */
import { signal } from '@preact/signals';
import { FRESH, type SendForm } from '../domain/send-form.ts';
import type { Target } from '../wire.ts';

/** What is typed into the Send form. */
export const sendForm = signal<SendForm>(FRESH);

/** A plan that is being edited. */
export interface PlanDraft {
  /** What the form's list shows as its origin: `plan:` and a name, or `run:` and an id. */
  origin: string;
  name: string;
  text: string;
  target: Target;
}

/** The plan in the editor; none before one was chosen or changed. */
export const planDraft = signal<PlanDraft | undefined>(undefined);
