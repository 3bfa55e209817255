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

/** What is wrong in a few words, for beside the line: without the place, which the line itself tells. */
export function inShort(message: string): string {
  const lines = message.split('\n');
  // TOML's own mistakes come with a drawing of the place; what is wrong is below its last line.
  const drawn = lines.findLastIndex((line) => /^\s*\|/.test(line));
  if (drawn >= 0 && drawn < lines.length - 1) return lines.slice(drawn + 1).join(', ');
  return message.replace(/^.*?\bline \d+:\s*/, '');
}
