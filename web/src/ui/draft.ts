/** What is typed into a form over what is set: kept as it was typed until it is applied or given up. */
import { useEffect, useState } from 'preact/hooks';

/** The fields of a form by name, as texts. */
export type Fields = Readonly<Record<string, string>>;

/** A form's fields as they are shown, and whether any differs from what is set. */
export interface Draft<F extends Fields> {
  fields: F;
  isChanged: boolean;
  change(part: Partial<F>): void;
}

/** The fields to show: what was typed goes before what is set, whatever is set meanwhile. */
export const overlay = <F extends Fields>(set: F, typed: Partial<F>): F => ({ ...set, ...typed });

/** What of `typed` differs from what is set. */
export function difference<F extends Fields>(set: F, typed: Partial<F>): Partial<F> {
  return Object.fromEntries(Object.entries(typed).filter(([name, text]) => text !== set[name])) as Partial<F>;
}

/** A draft over what is set now; `subject` is whose form it is: another one has a draft of its own. */
export function useDraft<F extends Fields>(set: F, subject = ''): Draft<F> {
  const [typed, setTyped] = useState<{ subject: string; fields: Partial<F> }>({ subject, fields: {} });
  const own = typed.subject === subject ? typed.fields : {};
  const isChanged = Object.keys(difference(set, own)).length > 0;
  // What was applied is set now; from here on the form follows what is set.
  useEffect(() => {
    if (!isChanged) setTyped({ subject, fields: {} });
  }, [isChanged, subject]);
  return {
    fields: overlay(set, own),
    isChanged,
    change: (part) =>
      setTyped((before) => {
        const fields = { ...(before.subject === subject ? before.fields : {}), ...part };
        return { subject, fields: difference(set, fields) };
      }),
  };
}

/** A number as it was typed. Throws an `Error` that names the field where it is none, or is out of its range. */
export function numberFrom(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= low && value <= high)) {
    throw new Error(`${name} must be a number from ${low} to ${high}.`);
  }
  return value;
}

/** The same for what is counted. */
export function wholeFrom(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
    throw new Error(`${name} must be a whole number from ${low} to ${high}.`);
  }
  return value;
}
