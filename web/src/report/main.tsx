/** The page of a report or a comparison: what the program wrote into it. */
import { render } from 'preact';
import type { PageData } from '../wire.ts';
import { ComparisonView } from './comparison.tsx';
import { ReportView } from './report.tsx';

const place = document.getElementById('report');
const data = JSON.parse(document.getElementById('data')?.textContent ?? '{"kind":"nothing"}') as
  | PageData
  | { kind: 'nothing' };
if (place && data.kind === 'report') render(<ReportView report={data} />, place);
if (place && data.kind === 'comparison') render(<ComparisonView comparison={data} />, place);
if (place && data.kind === 'nothing') render(<p>There are no results in this file.</p>, place);
