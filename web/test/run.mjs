// Bundles the tests and gives them to node's test runner.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const files = (await readdir(here)).filter((name) => name.endsWith('.test.ts'));
// Beside the sources, so that paths relative to this folder stay what they are.
const out = await mkdtemp(join(here, '.run-'));
try {
  await build({
    entryPoints: files.map((name) => join(here, name)),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const { status } = spawnSync(
    process.execPath,
    ['--enable-source-maps', '--test', ...files.map((name) => join(out, name.replace(/ts$/, 'mjs')))],
    {
      stdio: 'inherit',
      cwd: here,
    },
  );
  process.exitCode = status ?? 1;
} finally {
  await rm(out, { recursive: true });
}
