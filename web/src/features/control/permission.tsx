/** Says whether this page may control the swarm, and takes the token that lets it. */
import { connection } from '../../state/connection.ts';
import { askAgain, permission, token } from '../../state/permission.ts';
import { unsendable } from '../../transport/token.ts';

/** Says why the controls are off, if they are, and takes the token. */
export function PermissionNote() {
  const now = permission.value;
  if (connection.value.state === 'replay') return <p class="note is-off">This is a recording: there is nothing to control.</p>;
  if (now === 'unknown') return <p class="note">Asking the server whether controls are permitted…</p>;
  if (now === 'unanswered') {
    return (
      <p class="note is-off">
        The server did not answer whether controls are permitted.{' '}
        <button type="button" class="link" onClick={askAgain}>
          Ask again
        </button>
      </p>
    );
  }
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
export function PermissionHint({ what }: { what: string }) {
  const now = permission.value;
  if (now === 'permitted') return null;
  if (connection.value.state === 'replay') return <p class="hint">This is a recording: {what.toLowerCase()} are off.</p>;
  if (now === 'unanswered') {
    return (
      <p class="hint">
        The server did not answer whether {what.toLowerCase()} are permitted.{' '}
        <button type="button" class="link" onClick={askAgain}>
          Ask again
        </button>
      </p>
    );
  }
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
