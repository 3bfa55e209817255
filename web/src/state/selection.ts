/** What is opened in the sheet at the side. */
import { signal } from '@preact/signals';

export type Selection =
  { kind: 'message'; requestId: string; messageId: string } | { kind: 'instance'; id: string } | undefined;

export const selection = signal<Selection>(undefined);
export const openMessage = (requestId: string, messageId: string): void => {
  selection.value = { kind: 'message', requestId, messageId };
};
export const openInstance = (id: string): void => {
  selection.value = { kind: 'instance', id };
};
