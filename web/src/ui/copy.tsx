/** A button that copies a text. */
import { useState } from 'preact/hooks';

/** Copies `text` when pressed, and says so for a moment. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (event: MouseEvent): Promise<void> => {
    await copyText(text, event.currentTarget as HTMLElement);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <button type="button" class="copy quiet" aria-label={`Copy ${label}`} onClick={copy}>
      <span aria-live="polite">{copied ? 'Copied' : 'Copy'}</span>
    </button>
  );
}

async function copyText(text: string, near: HTMLElement): Promise<void> {
  // Browsers give the clipboard to https and localhost alone; on a plain island network the old way has to do.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  near.after(field);
  field.select();
  document.execCommand('copy');
  field.remove();
  near.focus();
}
