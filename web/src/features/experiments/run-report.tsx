/** Reports and comparisons within the dashboard, by their own components and with their own styles. */
import { render, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ComparisonView } from '../../report/comparison.tsx';
import { ReportView } from '../../report/report.tsx';
import type { Comparison, Report } from '../../wire.ts';

/** A run's charts and tables. */
export function RunReport({ report, head }: { report: Report; head: boolean }) {
  return (
    <ShadowRoot>
      <ReportView report={report} head={head} />
    </ShadowRoot>
  );
}

/** Two runs' figures side by side. */
export function RunComparison({ comparison }: { comparison: Comparison }) {
  return (
    <ShadowRoot>
      <ComparisonView comparison={comparison} />
    </ShadowRoot>
  );
}

/** A shadow tree, which keeps the styles of the report and those of the dashboard apart. */
function ShadowRoot({ children }: { children: ComponentChildren }) {
  const host = useRef<HTMLDivElement>(null);
  const [styled, setStyled] = useState(false);
  useEffect(() => {
    if (!host.current) return;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: 'open' });
    render(
      <>
        <link rel="stylesheet" href="report.css" onLoad={() => setStyled(true)} />
        {children}
      </>,
      root,
    );
  });
  useEffect(() => () => void (host.current?.shadowRoot && render(null, host.current.shadowRoot)), []);
  return <div ref={host} class={styled ? 'apart' : 'apart is-bare'} />;
}
