/** Whether this page may control the swarm, and the token that lets it. */
import { effect, signal } from '@preact/signals';
import { readControl } from '../../transport/api.ts';
import { token } from '../../state/preferences.ts';
import { connection } from '../../state/store.ts';
import { unsendable } from '../../transport/token.ts';

type Permission = 'unknown' | 'permitted' | 'needs-token' | 'wrong-token' | 'forbidden';

export const permission = signal<Permission>('unknown');

// Asked again whenever the token changes or the server comes back.
effect(() => {
  const given = token.value;
  if (unsendable(given)) {
    permission.value = 'wrong-token';
    return;
  }
  if (connection.value.state !== 'open') return;
  readControl().then(
    ({ permitted, needsToken }) => {
      if (permitted) permission.value = 'permitted';
      else permission.value = needsToken ? (given ? 'wrong-token' : 'needs-token') : 'forbidden';
    },
    () => {
      permission.value = 'unknown';
    },
  );
});

/** Says why the controls are off, if they are, and takes the token. */
export function PermissionNote() {
  const now = permission.value;
  if (now === 'unknown') return <p class="note">Asking the server whether controls are permitted…</p>;
  if (now === 'forbidden') {
    return (
      <p class="note is-off">
        Controls are not permitted: the server has no control token. Start it with <code>--set admin.token=…</code> or a{' '}
        <code>token_file</code>.
      </p>
    );
  }
  if (now === 'permitted') {
    return token.value ? (
      <p class="note">
        Controls are permitted with your token.{' '}
        <button type="button" class="link" onClick={() => (token.value = '')}>
          Forget the token
        </button>
      </p>
    ) : null;
  }
  return <TokenForm wrong={now === 'wrong-token'} />;
}

/** Says in a line why something is off, with the way to have it. */
export function WhyNot({ what }: { what: string }) {
  const now = permission.value;
  if (now === 'permitted') return null;
  if (now === 'unknown') return <p class="hint">Asking the server whether {what.toLowerCase()} are permitted…</p>;
  return (
    <p class="hint">
      {now === 'forbidden'
        ? `${what} are not permitted: the server has no control token. `
        : `${what} need the control token. `}
      <a href="#/control">{now === 'forbidden' ? 'More on this' : 'Enter it'}</a>
    </p>
  );
}

function TokenForm({ wrong }: { wrong: boolean }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    token.value = String(new FormData(event.currentTarget as HTMLFormElement).get('token'));
  };
  return (
    <form class="note is-off" onSubmit={submit}>
      <label>
        {wrong
          ? (unsendable(token.value) ?? 'Controls are not permitted: the token is wrong.')
          : 'Controls are not permitted without the token.'}{' '}
        <input name="token" type="password" autocomplete="off" placeholder="control token" required />
      </label>
      <button type="submit">Use token</button>
      <small>It is kept until this tab is closed.</small>
    </form>
  );
}
