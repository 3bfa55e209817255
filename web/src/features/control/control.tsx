/** Changing the swarm while it runs. */
import { Accidents } from './accidents.tsx';
import { DelayControl, DispatchControl } from './delay.tsx';
import { ActiveFaults, FaultControl } from './faults.tsx';
import { PermissionNote } from './permission.tsx';
import { WorkerCounts } from './workers.tsx';
import { subject } from '../../state/route.ts';

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
