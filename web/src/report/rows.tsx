/** Charts that are tables: a row for each cell, a bar or a dot in it, and the figure in words beside it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { roundly, type Scale } from './scale.ts';

/** Rows shown at first. */
const MOST_ROWS = 32;

export interface Row {
  name: string;
  cells: ComponentChildren[];
}

interface Props {
  title: string;
  note?: ComponentChildren;
  /** Heads of the columns after the name, each with the scale of its track if it has one. */
  columns: { title: string; scale?: Scale; say?: (value: number) => string }[];
  rows: Row[];
  /** What a row is. */
  what?: string | undefined;
}

/** The table, with the axes in its head. */
export function RowChart({ title, note, columns, rows, what = 'cell' }: Props) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, MOST_ROWS);
  return (
    <section class="rows">
      <h3>{title}</h3>
      {note && <p class="hint">{note}</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label={title}>
        <table>
          <thead>
            <tr>
              <th scope="col">{what}</th>
              {columns.map(({ title: head, scale, say }) => (
                <th key={head} scope="col" class={scale ? 'has-axis' : undefined}>
                  {head}
                  {scale && say && <Axis scale={scale} say={say} />}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map(({ name, cells }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {cells.map((cell, index) => (
                  <td key={index}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > shown.length && (
        <button type="button" class="link" onClick={() => setAll(true)}>
          Show all {rows.length}
        </button>
      )}
    </section>
  );
}

function Axis({ scale, say }: { scale: Scale; say: (value: number) => string }) {
  const least = scale.ticks[0] ?? 0;
  const most = scale.ticks.at(-1) ?? 1;
  return (
    <span class="track-axis" aria-hidden="true">
      <i>{roundly(say(least))}</i>
      <i>{roundly(say(most))}</i>
    </span>
  );
}

const left = (share: number): string => `${Math.max(0, Math.min(1, share)) * 100}%`;

interface DotProps {
  scale: Scale;
  value: number | undefined;
  low?: number | undefined;
  high?: number | undefined;
  expected?: { median: number; low: number; high: number } | undefined;
  /** A line at a value that means something, such as 1 for ratios. */
  line?: number;
  text: string;
  tone?: 'better' | 'worse' | 'same';
}

/** A dot with its interval, what was expected as a tick with its range, and the figure. */
export function Dot({ scale, value, low, high, expected, line, text, tone }: DotProps) {
  return (
    <span class={`dot-cell${tone ? ` is-${tone}` : ''}`}>
      <span class="track" aria-hidden="true">
        {line !== undefined && <s style={{ left: left(scale.at(line)) }} />}
        {expected && (
          <>
            <u style={{ left: left(scale.at(expected.low)), right: left(1 - scale.at(expected.high)) }} />
            <b style={{ left: left(scale.at(expected.median)) }} />
          </>
        )}
        {low !== undefined && high !== undefined && (
          <em style={{ left: left(scale.at(low)), right: left(1 - scale.at(high)) }} />
        )}
        {value !== undefined && <i style={{ left: left(scale.at(value)) }} />}
      </span>
      <span class="figure">{text}</span>
    </span>
  );
}

export interface Part {
  kind: string;
  size: number;
  said: string;
}

/** Parts after one another, and thinner below them what was expected. */
export function Bar({ most, parts, expected, text }: { most: number; parts: Part[]; expected?: Part[]; text: string }) {
  const width = (size: number): string => `${most > 0 ? (size / most) * 100 : 0}%`;
  return (
    <span class="bar-cell">
      <span class="bars">
        <span class="parts" role="img" aria-label={parts.map(({ said }) => said).join(', ')}>
          {parts.map(({ kind, size, said }, index) => (
            <i key={index} class={`part is-${kind}`} style={{ width: width(size) }} title={said} />
          ))}
        </span>
        {expected && expected.length > 0 && (
          <span class="parts is-thin" role="img" aria-label={`expected: ${expected.map(({ said }) => said).join(', ')}`}>
            {expected.map(({ kind, size, said }, index) => (
              <i key={index} class={`part is-${kind}`} style={{ width: width(size) }} title={`expected: ${said}`} />
            ))}
          </span>
        )}
      </span>
      <span class="figure">{text}</span>
    </span>
  );
}

/** What the parts' colours mean. */
export function PartsLegend({ parts }: { parts: { kind: string; label: string }[] }) {
  return (
    <ul class="legend">
      {parts.map(({ kind, label }) => (
        <li key={kind}>
          <i class={`part is-${kind}`} aria-hidden="true" />
          {label}
        </li>
      ))}
    </ul>
  );
}
