// Bundles the dashboard and the page of reports into dist/: `node build.mjs`, or `node build.mjs --watch` while working
// on the dashboard.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { build, context } from 'esbuild';

const LIMIT_KB = 110;
const watching = process.argv.includes('--watch');

const options = {
  entryPoints: [
    { in: 'src/main.tsx', out: 'app' },
    { in: 'src/styles/app.css', out: 'app' },
    // For reports within the dashboard; loaded with the first of them.
    { in: 'src/report/report.css', out: 'report' },
  ],
  outdir: 'dist',
  bundle: true,
  minify: !watching,
  sourcemap: watching ? 'inline' : false,
  format: 'esm',
  target: ['es2022'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'info',
};

/** The page of reports is one file, so that it opens without a server: its script and styles are put into it. */
async function buildReport() {
  const { outputFiles } = await build({
    ...options,
    entryPoints: [
      { in: 'src/report/main.tsx', out: 'report' },
      { in: 'src/report/report.css', out: 'report' },
    ],
    // Not a module: a browser loads none from a file.
    format: 'iife',
    write: false,
  });
  const text = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;
  const page = (await readFile('src/report/report.html', 'utf8'))
    .replace('/* styles */', () => text('.css'))
    // What would end the element; it occurs in strings only.
    .replace('/* script */', () => text('.js').replaceAll('</script', '<\\/script'));
  await writeFile('dist/report.html', page);
}

await rm('dist', { recursive: true, force: true });
await mkdir('dist');
await cp('static', 'dist', { recursive: true });

if (watching) {
  await (await context(options)).watch();
} else {
  await build(options);
  await buildReport();
  let total = 0;
  for (const name of ['index.html', 'app.js', 'app.css', 'report.css', 'favicon.svg']) {
    total += gzipSync(await readFile(`dist/${name}`), { level: 9 }).length;
  }
  const kb = (total / 1024).toFixed(1);
  console.log(`dist: ${kb} kB compressed, of ${LIMIT_KB} kB allowed`);
  if (total > LIMIT_KB * 1024) process.exit(1);
}
