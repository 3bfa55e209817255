/** Whether this page may control the swarm, and the token that lets it. */
import { effect, signal } from '@preact/signals';
import { authorizeWith, readControl } from '../transport/api.ts';
import { unsendable } from '../transport/token.ts';
import { remembered } from '../ui/remembered.ts';
import type { ControlAccess } from '../wire.ts';
import { connection } from './connection.ts';

export type Permission = 'unknown' | 'unanswered' | 'permitted' | 'needs-token' | 'wrong-token' | 'forbidden';

/** Sent to the server with each call; empty when none was entered. Kept until the tab is closed. */
export const token = remembered<string>(() => sessionStorage, 'swarmq.token', '');
authorizeWith(() => token.value);

export const permission = signal<Permission>('unknown');

/** Counts the times that somebody asked for another attempt. */
const attempts = signal(0);

/** Asks the server once more. */
export const askAgain = (): void => void (attempts.value += 1);

/** Asks the server now, whenever the token changes, and when the server comes back. */
export function watchPermission(ask: () => Promise<ControlAccess> = readControl): () => void {
  return effect(() => {
    const given = token.value;
    void attempts.value;
    if (unsendable(given)) {
      permission.value = 'wrong-token';
      return undefined;
    }
    if (connection.value.state !== 'open') return undefined;
    // Only the latest question's answer counts.
    let isLatest = true;
    const answer = (found: Permission): void => {
      if (isLatest) permission.value = found;
    };
    ask().then(
      ({ permitted, needsToken }) => {
        if (permitted) answer('permitted');
        else answer(needsToken ? (given ? 'wrong-token' : 'needs-token') : 'forbidden');
      },
      () => answer('unanswered'),
    );
    return () => {
      isLatest = false;
    };
  });
}
