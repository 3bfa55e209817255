/** Sending: one request, a burst, or a steady rate. */
import { sendForm } from '../../state/drafts.ts';
import { connection } from '../../state/connection.ts';
import { permission } from '../../state/permission.ts';
import { load, settings } from '../../state/store.ts';
import { sendRequest, startLoad, stopLoad } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { Choice } from '../../ui/choice.tsx';
import { brief, count, plural, rate } from '../../ui/format.ts';
import type { FanOut } from '../../wire.ts';
import { PermissionHint } from '../control/permission.tsx';
import { LARGEST_BURST, loadFrom, requestFrom, TASKS, type Mode, type SendForm } from '../../domain/send-form.ts';

const MODES: { value: Mode; label: string }[] = [
  { value: 'one', label: 'One' },
  { value: 'burst', label: 'Burst' },
  { value: 'steady', label: 'Steady' },
];

const FAN_OUTS: { value: FanOut; label: string }[] = [
  { value: 'all', label: 'Every worker' },
  { value: 'one', label: 'One worker' },
];

/** The form. */
export function Send() {
  const form = sendForm.value;
  const action = useAction();
  const change = (part: Partial<SendForm>): void => {
    sendForm.value = { ...sendForm.value, ...part };
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void action.run(() => send(form));
  };
  const stop = (): void =>
    void action.run(async () => {
      const { sent } = await stopLoad();
      return `Stopped after ${plural(sent, 'request')}.`;
    });
  const running = load.value.running;
  // Load goes on when this page is closed: it is a control. A single request is not.
  const refused = permission.value !== 'permitted';
  return (
    <form class="send" aria-label="Send" onSubmit={submit}>
      <h2>Send</h2>
      <Choice legend="How much" value={form.mode} options={MODES} onChange={(mode) => change({ mode })} />
      <div class="send-go">
        {form.mode === 'burst' && (
          <label>
            <input
              type="number"
              min="1"
              max={LARGEST_BURST}
              value={form.burst}
              onInput={(event) => change({ burst: event.currentTarget.value })}
            />
            <span>requests at once</span>
          </label>
        )}
        {form.mode === 'steady' && (
          <label>
            <input
              type="number"
              min="0.1"
              max="1000"
              step="any"
              value={form.rate}
              onInput={(event) => change({ rate: event.currentTarget.value })}
            />
            <span>requests a second</span>
          </label>
        )}
        <button type="submit" class="primary" disabled={action.busy || (form.mode === 'one' ? connection.value.state === 'replay' : refused)}>
          {form.mode === 'one'
            ? 'Send request'
            : form.mode === 'burst'
              ? 'Send burst'
              : running
                ? 'Change rate'
                : 'Start'}
        </button>
        {running && (
          <button type="button" class="stop" disabled={action.busy || refused} onClick={stop}>
            Stop
          </button>
        )}
      </div>
      {refused && (running || form.mode !== 'one') && <PermissionHint what="Bursts and steady rates" />}
      <Running />
      <ActionStatus action={action} />
      <details class="send-more">
        <summary>Task, fan-out, timeout</summary>
        <Fields form={form} change={change} />
      </details>
    </form>
  );
}

async function send(form: SendForm): Promise<string> {
  if (form.mode === 'one') {
    const { requestId } = await sendRequest(requestFrom(form));
    return `Sent ${brief(requestId)}.`;
  }
  await startLoad(loadFrom(form));
  return form.mode === 'burst' ? `A burst of ${plural(Number(form.burst), 'request')} is on its way.` : 'Started; it goes on until it is stopped.';
}

function Running() {
  const { running, sent, refused, rate: perS } = load.value;
  if (!running) return null;
  return (
    <p class="running">
      {perS ? `${rate(perS)} a second: ` : ''}
      {count(sent)} sent{refused > 0 && <strong>, {count(refused)} refused</strong>}
    </p>
  );
}

function Fields({ form, change }: { form: SendForm; change: (part: Partial<SendForm>) => void }) {
  const configured = settings.value;
  const task = TASKS.find(({ name }) => name === form.task);
  const reads = (form.task || configured?.task) === 'file';
  return (
    <div class="fields">
      <label>
        Task
        <select value={form.task} onChange={(event) => change({ task: event.currentTarget.value as SendForm['task'] })}>
          <option value="">as configured{configured ? ` (${configured.task})` : ''}</option>
          {TASKS.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {reads && (
        <label>
          File
          <input
            value={form.filename}
            placeholder="as configured"
            onInput={(event) => change({ filename: event.currentTarget.value })}
          />
        </label>
      )}
      <label>
        Parameters, as JSON
        <input
          class="code"
          value={form.parameters}
          placeholder={task?.example || '{}'}
          onInput={(event) => change({ parameters: event.currentTarget.value })}
        />
      </label>
      <Choice legend="Fan-out" value={form.fanOut} options={FAN_OUTS} onChange={(fanOut) => change({ fanOut })} />
      <label>
        Timeout in ms
        <input
          inputMode="numeric"
          value={form.timeoutMs}
          placeholder={configured ? String(configured.timeoutMs) : ''}
          onInput={(event) => change({ timeoutMs: event.currentTarget.value })}
        />
      </label>
    </div>
  );
}
