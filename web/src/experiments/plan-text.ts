/** What the page reads of a plan's text before the server has checked it. */

/** The target that a plan names for itself, if it does: a key at its top, before the first table. */
export function targetOf(text: string): string | undefined {
  const top = text.split(/^\s*\[/m, 1)[0] ?? '';
  return /^\s*target\s*=\s*"([^"]*)"/m.exec(top)?.[1];
}

/** Where a line, counted from 1, begins in a text. */
export function startOfLine(text: string, line: number): number {
  const lines = text.split('\n').slice(0, Math.max(0, line - 1));
  return Math.min(text.length, lines.reduce((sum, one) => sum + one.length + 1, 0));
}
