/** The links between the web tier and the requesters, to connect and to disconnect as in the article. */
import { linksOf } from '../../domain/topology.ts';
import { connection } from '../../state/connection.ts';
import { permission } from '../../state/permission.ts';
import { topology } from '../../state/store.ts';
import { connectLinks, disconnectLinks } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { PermissionHint } from '../control/permission.tsx';

/** The links and their two buttons. */
export function Links() {
  const action = useAction();
  const links = linksOf(topology.value);
  const connected = links.filter((link) => link.state === 'connected').length;
  return (
    <section class="links" aria-label="Links">
      <h2>
        Links{' '}
        <span>
          {connected} of {links.length} connected
        </span>
      </h2>
      <div class="buttons">
        <button
          type="button"
          disabled={action.busy || connection.value.state === 'replay'}
          onClick={() => action.run(async () => (await connectLinks(), 'Connected.'))}
        >
          Connect
        </button>
        <button
          type="button"
          disabled={action.busy || links.length === 0 || permission.value !== 'permitted'}
          onClick={() => action.run(async () => (await disconnectLinks(), 'Disconnected.'))}
        >
          Disconnect
        </button>
      </div>
      <PermissionHint what="Disconnections" />
      <ActionStatus action={action} />
      {links.length === 0 && (
        <p class="hint">
          No requester is known: start one with <code>swarmq requester</code>, then connect.
        </p>
      )}
      <ul>
        {links.map(({ address, state, reason, connected: ups, webs }) => (
          <li key={address} class={`is-${state}`}>
            <code>{address}</code>
            <span>{state === 'connected' && ups < webs ? `connected from ${ups} of ${webs}` : state}</span>
            {reason && <small>{reason}</small>}
          </li>
        ))}
      </ul>
    </section>
  );
}
