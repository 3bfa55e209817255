/** A sheet at the side for the details of one thing. Escape, its button or a click beside it closes it. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface Props {
  title: string;
  subtitle?: ComponentChildren;
  children: ComponentChildren;
  onClose: () => void;
}

/** The sheet; it is open as long as it is rendered. */
export function Sheet({ title, subtitle, children, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  /** Where the pointer was last pressed: a text that is selected to beyond the edge ends its click beside the sheet. */
  const pressed = useRef<EventTarget | null>(null);
  const isLeft = useRef(false);
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      // Closing gives the focus back to where it was.
      isLeft.current = true;
      shown?.close();
    };
  }, []);
  const close = (): void => dialog.current?.close();
  const isBeside = (target: EventTarget | null): boolean => target === dialog.current;
  return (
    <dialog
      class="sheet"
      ref={dialog}
      aria-labelledby="sheet-title"
      onClose={() => isLeft.current || onClose()}
      onPointerDown={({ target }) => (pressed.current = target)}
      onClick={({ target }) => isBeside(target) && isBeside(pressed.current) && close()}
    >
      <div class="sheet-body">
        <header>
          <div>
            <h2 id="sheet-title">{title}</h2>
            {subtitle && <p>{subtitle}</p>}
          </div>
          <button type="button" class="quiet" aria-label="Close" onClick={close}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
