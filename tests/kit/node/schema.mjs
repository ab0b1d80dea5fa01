// A value against a JSON Schema, as far as our OpenAPI document uses it; an unknown keyword is an
// error too, so that no promise passes unread.
import assert from 'node:assert/strict';

const kinds = {
  null: (v) => v === null,
  string: (v) => typeof v === 'string',
  integer: (v) => Number.isInteger(v),
  number: (v) => typeof v === 'number',
  boolean: (v) => typeof v === 'boolean',
  array: Array.isArray,
  object: (v) => typeof v === 'object' && v !== null && !Array.isArray(v),
};

const formats = {
  'date-time': (v) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(v),
  uri: (v) => URL.canParse(v),
};

// What is said for people, or only of requests.
const silent = ['description', 'readOnly', 'writeOnly', 'default', 'x-gatehouse-ref', 'x-gatehouse-not-enforced'];

const checks = {
  type: (v, type) => [type].flat().some((t) => kinds[t](v)),
  enum: (v, words) => words.includes(v),
  format: (v, name) => v === null || formats[name](v),
  pattern: (v, text) => new RegExp(text, 'u').test(v),
  minLength: (v, n) => [...v].length >= n,
  maxLength: (v, n) => [...v].length <= n,
  'x-gatehouse-max-bytes': (v, n) => Buffer.byteLength(v) <= n,
  minimum: (v, n) => v >= n,
  maximum: (v, n) => v <= n,
  minItems: (v, n) => v.length >= n,
  maxItems: (v, n) => v.length <= n,
  uniqueItems: (v) => new Set(v.map((e) => JSON.stringify(e))).size === v.length,
  required: (v, names) => names.every((n) => n in v),
};

// Throws with the place of the first thing that does not fit.
export function assertFits(document, schema, value, at = '') {
  for (const [keyword, rule] of Object.entries(schema)) {
    if (silent.includes(keyword)) continue;
    if (keyword === '$ref') {
      const name = rule.replace('#/components/schemas/', '');
      assert.ok(name in document.components.schemas, `${at}: ${rule}`);
      assertFits(document, document.components.schemas[name], value, at);
    } else if (keyword === 'items') {
      value.forEach((entry, i) => assertFits(document, rule, entry, `${at}/${i}`));
    } else if (keyword === 'properties') {
      for (const [name, inner] of Object.entries(rule))
        if (name in value) assertFits(document, inner, value[name], `${at}/${name}`);
    } else if (keyword === 'additionalProperties') {
      assert.equal(rule, false);
      for (const name of Object.keys(value))
        assert.ok(name in schema.properties, `${at}/${name} is not in the document`);
    } else {
      assert.ok(keyword in checks, `${at}: the keyword ${keyword} is not known here`);
      assert.ok(checks[keyword](value, rule), `${at}: ${keyword} ${JSON.stringify(rule)}: ${JSON.stringify(value)}`);
    }
  }
}
