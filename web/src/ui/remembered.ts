/** Signals that outlive the page. */
import { effect, signal, type Signal } from '@preact/signals';

/** A text that is kept in the browser's storage; where the browser forbids that, it lasts as long as the page. */
export function remembered<T extends string>(storage: () => Storage, key: string, initial: T): Signal<T> {
  const value = signal<T>(initial);
  try {
    value.value = (storage().getItem(key) as T | null) ?? initial;
    effect(() => storage().setItem(key, value.value));
  } catch {
    return value;
  }
  return value;
}
