/** A plan's text, with its lines numbered and what is wrong with it at the line where it is. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { inShort, startOfLine } from './plan-text.ts';

interface Props {
  text: string;
  problem: { line: number | null; message: string } | undefined;
  disabled: boolean;
  onChange: (text: string) => void;
}

/** The editor; its text is the caller's. */
export function PlanEditor({ text, problem, disabled, onChange }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [scroll, setScroll] = useState({ top: 0, left: 0 });
  const lines = text.split('\n');
  const at = problem?.line ?? 0;
  const follow = (): void => {
    if (field.current) setScroll({ top: field.current.scrollTop, left: field.current.scrollLeft });
  };
  // A new text may be shorter than what it replaces.
  useEffect(follow, [text]);
  const goTo = (line: number): void => {
    const place = startOfLine(text, line);
    field.current?.focus();
    field.current?.setSelectionRange(place, place + (lines[line - 1]?.length ?? 0));
  };
  return (
    <div class="plan-editor">
      <label for="plan-text">Plan</label>
      <div class={problem ? 'plan-frame is-wrong' : 'plan-frame'}>
        <ol class="plan-gutter" aria-hidden="true" style={{ transform: `translateY(${-scroll.top}px)` }}>
          {lines.map((_, index) => (
            <li key={index} class={index + 1 === at ? 'is-wrong' : undefined}>
              {index + 1}
            </li>
          ))}
        </ol>
        <div class="plan-page">
          {problem && at > 0 && at <= lines.length && (
            <p
              class="plan-mark"
              aria-hidden="true"
              style={{ transform: `translateY(calc(${at - 1} * var(--plan-line) - ${scroll.top}px))` }}
            >
              <span style={{ paddingLeft: `calc(${(lines[at - 1]?.length ?? 0) + 2}ch - ${scroll.left}px)` }}>
                {inShort(problem.message)}
              </span>
            </p>
          )}
          <textarea
            id="plan-text"
            ref={field}
            value={text}
            rows={18}
            wrap="off"
            spellcheck={false}
            autocapitalize="off"
            autocomplete="off"
            disabled={disabled}
            aria-invalid={problem !== undefined}
            aria-describedby="plan-verdict"
            onInput={(event) => onChange(event.currentTarget.value)}
            onScroll={follow}
          />
        </div>
      </div>
      {problem && (
        <div class="plan-problem">
          {at > 0 && (
            <button type="button" class="link" onClick={() => goTo(at)}>
              Line {at}
            </button>
          )}
          <pre>{problem.message}</pre>
        </div>
      )}
    </div>
  );
}
