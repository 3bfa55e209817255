/** Changing the swarm while it runs. */

import { DelayControl, DispatchControl } from './delay.tsx';
import { ActiveFaults, FaultControl } from './faults.tsx';
import { PermissionNote } from './permission.tsx';
import { WorkerFailures } from './worker-failures.tsx';
import { WorkerCounts } from './workers.tsx';
import { route } from '../../state/route.ts';

/** The route `#/control`, or `#/control/<instance>` with that instance chosen. */
export function ControlView() {
  const preset = route.value.params[0] ?? '';
  return (
    <div class="control-view">
      <PermissionNote />
      <ActiveFaults />
      <div class="control-grid">
        <div>
          <WorkerCounts />
          <DelayControl />
          <DispatchControl />
        </div>
        <div>
          <FaultControl preset={preset} />
          <WorkerFailures preset={preset} />
        </div>
      </div>
    </div>
  );
}
