// Reads the program's OpenAPI description from its input, and writes the types of all its schemas in TypeScript.
import { text } from 'node:stream/consumers';
import { compile } from 'json-schema-to-typescript';
import { definitionsOf } from './schema.mjs';

/** What the compiler says of a type that the schema at the top does not use. */
const NOISE = / \*(?:\n \*)? This interface was referenced by `Everything`'s JSON-Schema\n \* via the `definition` ".*"\.\n/g;

const definitions = definitionsOf(JSON.parse(await text(process.stdin)));
const types = await compile({ definitions }, 'Everything', {
  additionalProperties: false,
  bannerComment: "/** The server's JSON, as types. Generated from its OpenAPI description: docs/architecture.md says how. */",
  style: { printWidth: 120, singleQuote: true },
  unreachableDefinitions: true,
});
process.stdout.write(
  types
    .replaceAll(NOISE, '')
    .replaceAll('/**\n */\n', '')
    .replace(/export interface Everything {[^}]*}\n/, ''),
);
