/** Names and their values, one below or beside the other as the styles around them say. */
import type { ComponentChildren } from 'preact';

interface Props {
  rows?: [name: string, value: ComponentChildren][];
  /** More of them, after the rows. */
  children?: ComponentChildren;
}

/** A list of facts. */
export function Facts({ rows = [], children }: Props) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <Fact key={name} name={name}>
          {value}
        </Fact>
      ))}
      {children}
    </dl>
  );
}

/** One of them; a wide one has a line of its own. */
export function Fact({ name, isWide, children }: { name: string; isWide?: boolean; children: ComponentChildren }) {
  return (
    <div class={isWide ? 'is-wide' : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
