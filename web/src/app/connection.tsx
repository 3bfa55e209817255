/** How the page stands with the server, and the way back when it is lost or updated. */
import { clock } from '../state/clock.ts';
import { connection, reconnect, replayProblem } from '../state/connection.ts';
import { failure } from '../state/store.ts';
import { reloadOffered } from './reload.ts';

const WORDS = { connecting: 'Connecting', open: 'Connected', lost: 'Lost', replay: 'Recording' };

/** A mark in the header. */
export function ConnectionMark() {
  const { state } = connection.value;
  return (
    <span class={`connection is-${state}`} role="status">
      <i aria-hidden="true" />
      {WORDS[state]}
    </span>
  );
}

/** Says that the connection is lost and when it is tried again. */
export function ConnectionBanner() {
  const now = connection.value;
  if (now.state !== 'lost') return null;
  return (
    <div class="banner" role="alert">
      <strong>The connection to the server is lost.</strong>
      <span>
        What you see is the last known state. <Countdown to={now.retryAt} />
      </span>
      <button type="button" onClick={reconnect}>
        Try now
      </button>
    </div>
  );
}

/** Says that the page and what it is sent do not fit, and how to go on. */
export function ReloadBanner() {
  if (replayProblem.value || failure.value) {
    return (
      <div class="banner" role="alert">
        <strong>
          {replayProblem.value ? 'The recording can’t be played.' : 'The page could not take in what it was sent.'}
        </strong>
        <span>{replayProblem.value || `What you see may be out of date: ${failure.value}`}</span>
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      </div>
    );
  }
  if (!reloadOffered.value) return null;
  return (
    <div class="banner" role="status">
      <strong>This page is of another version of swarmq than its server.</strong>
      <span>It may show something wrong until it is reloaded.</span>
      <button type="button" onClick={() => location.reload()}>
        Reload
      </button>
    </div>
  );
}

function Countdown({ to }: { to: number }) {
  const left = to - clock.tenths.value;
  // Read once, not counted down aloud.
  return <span aria-hidden="true">{left > 900 ? `Next attempt in ${Math.ceil(left / 1_000)} s.` : 'Trying…'}</span>;
}
