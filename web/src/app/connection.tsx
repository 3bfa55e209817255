/** How the page stands with the server, and the way back when it is lost or updated. */
import { useEffect, useState } from 'preact/hooks';
import { reloadOffered } from './reload.ts';
import { connect } from '../transport/live.ts';
import { connection } from '../state/store.ts';

const WORDS = { connecting: 'Connecting', open: 'Connected', lost: 'Lost' };

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
      <button type="button" onClick={connect}>
        Try now
      </button>
    </div>
  );
}

/** Says that the page is of another version than its server. */
export function ReloadBanner() {
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
  const [left, setLeft] = useState(to - Date.now());
  useEffect(() => {
    const timer = setInterval(() => setLeft(to - Date.now()), 200);
    return () => clearInterval(timer);
  }, [to]);
  // Read once, not counted down aloud.
  return <span aria-hidden="true">{left > 900 ? `Next attempt in ${Math.ceil(left / 1_000)} s.` : 'Trying…'}</span>;
}
