/** A field for a number, which keeps the text as it is typed: "1." is on its way to "1.5". */
import type { ComponentChildren } from 'preact';

interface Props {
  /** The label; without one, give `name`. */
  label?: ComponentChildren;
  name?: string;
  min: number;
  max: number;
  /** The step of the arrows; any number may be typed. */
  step?: number | 'any';
  text: string;
  disabled?: boolean;
  /** True where the field may be empty. */
  optional?: boolean;
  onText: (text: string) => void;
}

/** The field. What its text means is for whoever submits the form (`numberFrom`). */
export function NumberField({ label, name, min, max, step = 'any', text, disabled = false, optional, onText }: Props) {
  const field = (
    <input
      type="number"
      aria-label={name}
      min={min}
      max={max}
      step={step}
      value={text}
      disabled={disabled}
      required={!optional}
      onInput={({ currentTarget }) => {
        // Of a number that is begun, such as "-" or "1e", a browser gives no text; the field shows it all the same.
        if (!currentTarget.validity.badInput) onText(currentTarget.value);
      }}
    />
  );
  return label === undefined ? (
    field
  ) : (
    <label>
      {label}
      {field}
    </label>
  );
}
