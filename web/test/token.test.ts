import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unsendable } from '../src/transport/token.ts';

test('a token that no header can carry is told with its character', () => {
  for (const text of ['', 's3cret', 'a b', '~!"#$%&\'()*+,-./:;<=>?@[]^_`{|}']) assert.equal(unsendable(text), undefined);
  for (const [text, odd] of [['pässword', 'ä'], ['a€', '€'], ['😀', '😀'], ['a\tb', '\t']] as const) {
    assert.ok(unsendable(text)?.includes(odd), text);
  }
});
