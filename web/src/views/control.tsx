/** Changing the swarm while it runs. */
import { Accidents } from '../control/accidents.tsx';
import { DelayControl, DispatchControl } from '../control/delay.tsx';
import { ActiveFaults, FaultControl } from '../control/faults.tsx';
import { PermissionNote } from '../control/permission.tsx';
import { WorkerCounts } from '../control/workers.tsx';
import { subject } from '../route.ts';

/** The route `#/control`, or `#/control/<instance>` with that instance chosen. */
export function ControlView() {
  const preset = subject.value;
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
          <Accidents preset={preset} />
        </div>
      </div>
    </div>
  );
}
