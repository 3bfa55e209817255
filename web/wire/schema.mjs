// The schemas of the program's OpenAPI description, made as strict as what the program writes.

/** The schemas by name, as JSON Schema (draft 7), whose references begin with `#/definitions/`. */
export function definitionsOf(description) {
  const text = JSON.stringify(description.components.schemas);
  const definitions = JSON.parse(text.replaceAll('#/components/schemas/', '#/definitions/'));
  Object.values(definitions).forEach(tighten);
  return definitions;
}

/** Closes what the description leaves open, because the program reads more than it writes. */
function tighten(schema) {
  if (typeof schema !== 'object' || schema === null) return;
  if (schema.$ref) {
    // With a description it would be another type.
    delete schema.description;
    return;
  }
  const { properties, propertyNames: keys, additionalProperties: values } = schema;
  for (const [name, property] of Object.entries(properties ?? {})) {
    schema.required ??= [];
    // The program writes a field that has a default, and leaves out an optional one that has no value.
    if (property.default != null && !schema.required.includes(name)) schema.required.push(name);
    if (!schema.required.includes(name)) withoutNull(property);
    delete property.default;
    property.description ??= property.oneOf?.find(({ $ref }) => $ref)?.description;
  }
  if (schema.type === 'object' && !properties) schema.additionalProperties ??= true;
  if (keys?.$ref) schema.tsType = `Partial<Record<${nameOf(keys)}, ${nameOf(values)}>>`;
  if (schema.prefixItems) [schema.items, schema.prefixItems] = [schema.prefixItems, undefined];
  // Fields that no schema names: whoever reads one of them knows of none.
  if (schema.allOf) schema.allOf = schema.allOf.filter((one) => one.$ref || one.properties);
  for (const [name, part] of Object.entries(schema)) if (name !== 'required' && name !== 'enum') tighten(part);
}

function withoutNull(schema) {
  if (Array.isArray(schema.type)) schema.type = schema.type.find((type) => type !== 'null');
  if (schema.oneOf) schema.oneOf = schema.oneOf.filter(({ type }) => type !== 'null');
}

/** A type in TypeScript: of a reference, a number or a text. */
const nameOf = ({ $ref, type }) => $ref?.split('/').at(-1) ?? type.replace('integer', 'number');
