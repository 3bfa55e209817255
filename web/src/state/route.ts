/** Which view is asked for: the part of the address after `#`, so that each view has a link. */
import { computed, signal } from '@preact/signals';

const parts = signal(read());
addEventListener('hashchange', () => {
  parts.value = read();
});

/** The path of the view, such as `/control`. */
export const path = computed(() => `/${parts.value[0]}`);

/** What the address says after the view, such as an instance's id in `#/control/responder-1`. */
export const subject = computed(() => parts.value.slice(1).join('/'));

function read(): string[] {
  return location.hash.replace(/^#\/?/, '').split('/').map(decoded);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // An address that somebody typed, with a lone percent sign.
    return part;
  }
}
