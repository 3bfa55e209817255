// The program under test: SWARMQ_BIN is started by each test file, or SWARMQ_URL is an address where it runs already.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What controls need; a program at SWARMQ_URL must have been started with it. */
export const TOKEN = process.env.SWARMQ_TOKEN ?? 'e2e';

const SETTINGS = {
  'requester.port': 0,
  'broker.port': 0,
  'telemetry.port': 0,
  'admin.port': 0,
  'admin.token': TOKEN,
  'task.delay.min': '200ms',
  'task.delay.max': '1200ms',
};

// The program refuses variables of its own prefix that it does not know.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SWARMQ_')));

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_MS = 20_000;

/** Starts the program on a free port, or on `port`, with some settings changed. Gives its address and a way to end it. */
export async function startProgram(port = 0, changes = {}) {
  if (process.env.SWARMQ_URL) return { url: process.env.SWARMQ_URL, stop: async () => {} };
  const binary = process.env.SWARMQ_BIN;
  if (!binary) throw new Error('set SWARMQ_BIN to the program, or SWARMQ_URL to where it runs');
  const settings = Object.entries({ ...SETTINGS, 'web.port': port, ...changes });
  const child = spawn(
    binary,
    settings.flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    { cwd: ROOT, env },
  );
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  try {
    return { url: await address(child), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The first address that the program prints. */
function address(child) {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(
      () => reject(new Error(`no address within ${START_MS} ms; the program said:\n${said}`)),
      START_MS,
    );
    const read = (part) => {
      said += part;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[0]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`the program ended with ${code}:\n${said}`)));
  });
}
