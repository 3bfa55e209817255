// How the sources may depend on one another, and on the time.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';

const SRC = '../src';

/** The folders that each folder may import from, besides itself and `wire.ts`. */
const MAY_IMPORT: Record<string, string[]> = {
  domain: [],
  ui: [],
  transport: ['domain'],
  state: ['domain', 'transport', 'ui'],
  charts: ['domain', 'ui'],
  map: ['domain', 'ui'],
  report: ['domain', 'ui', 'charts'],
  features: ['domain', 'ui', 'transport', 'state', 'charts', 'map', 'report'],
  app: ['domain', 'ui', 'state', 'features'],
};

/** The features that each feature may use. */
const FEATURES: Record<string, string[]> = {
  control: [],
  requests: [],
  metrics: [],
  live: ['control', 'requests', 'metrics'],
  experiments: ['control'],
};

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));
const textOf = (file: string): string => readFileSync(join(SRC, file), 'utf8');

/** The sources that a file imports, relative to `src`. */
const importsOf = (file: string): string[] =>
  [...textOf(file).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    normalize(join(dirname(file), path)),
  );

const partsOf = (file: string): [folder: string, feature: string] => {
  const [folder = '', feature = ''] = relative('.', file).split('/');
  return [folder, feature];
};

test('folders are imported one way', () => {
  const wrong = files.flatMap((file) => {
    const [folder, feature] = partsOf(file);
    const allowed = MAY_IMPORT[folder];
    if (!allowed) return [];
    return importsOf(file)
      .filter((imported) => {
        const [other, otherFeature] = partsOf(imported);
        if (imported === 'wire.ts') return false;
        if (folder === 'features' && other === 'features')
          return otherFeature !== feature && !FEATURES[feature]?.includes(otherFeature);
        return other !== folder && !allowed.includes(other);
      })
      .map((imported) => `${file} imports ${imported}`);
  });
  assert.deepEqual(wrong, []);
});

test('every folder has its place in the order', () => {
  const folders = new Set(files.filter((file) => file.includes('/')).map((file) => partsOf(file)[0]));
  assert.deepEqual([...folders].sort(), Object.keys(MAY_IMPORT).sort());
});

test('the pure folders know no browser and no rendering', () => {
  const impure = /from '(preact|@preact|uplot)|\b(document|window|location|history|localStorage|sessionStorage|fetch)\b[.(]/;
  const wrong = files.filter((file) => file.startsWith('domain/') && impure.test(textOf(file)));
  assert.deepEqual(wrong, []);
});

test('the clock alone reads the time', () => {
  const reads = /\bDate\.now\b|\bperformance\.(now|timeOrigin)\b|\bnew Date\(\)|requestAnimationFrame\(\(\w/;
  assert.deepEqual(files.filter((file) => reads.test(textOf(file))), ['state/clock.ts']);
});
