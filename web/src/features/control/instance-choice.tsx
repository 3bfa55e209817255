/** A list of instances to choose from. */
import { nameOf } from '../../domain/topology.ts';
import type { InstanceView } from '../../wire.ts';

interface Props {
  instances: readonly InstanceView[];
  value: string;
  /** What choosing none means; without it one must be chosen. */
  all?: string;
  disabled: boolean;
  onChange: (id: string) => void;
}

/** The list, with its label. */
export function InstanceChoice({ instances, value, all, disabled, onChange }: Props) {
  return (
    <label>
      <span>Instance</span>
      <select value={value} disabled={disabled} onChange={(event) => onChange(event.currentTarget.value)}>
        {all && <option value="">{all}</option>}
        {instances.map((view) => (
          <option key={view.instance.id} value={view.instance.id}>
            {nameOf(view)} on {view.instance.node}
          </option>
        ))}
      </select>
    </label>
  );
}
