// derive.mjs — writes catalogue.json anew from the npm package @pydantic/genai-prices (MIT licence).
//
//   npm install --prefix DIR @pydantic/genai-prices && node controlplane/catalogue/derive.mjs DIR
//
// What a model is called is a list of patterns: "*" stands for any text, "#" for one digit, and a
// pattern may be several joined by " & ", each of which may begin with "!" (it must not match). The
// first row that fits a name counts, so the order of the package is kept. Where a price depends on
// the date, the last one that has begun counts; where it depends on the hour, the dearest does.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const from = process.argv[2];
if (!from) {
  console.error('usage: node derive.mjs DIR   (the folder in which @pydantic/genai-prices is installed)');
  process.exit(2);
}

// Our name of a vendor, and the package's. Names are those that the "dialect" and "quirks" of a
// provider lead to (common/policy/kind_provider.c).
const vendors = {
  openai: 'openai', anthropic: 'anthropic', gemini: 'google', azure: 'azure', bedrock: 'aws',
  mistral: 'mistral', cohere: 'cohere', groq: 'groq', deepseek: 'deepseek', together: 'together',
  fireworks: 'fireworks', xai: 'x-ai', perplexity: 'perplexity', openrouter: 'openrouter',
  cerebras: 'cerebras', novita: 'novita', moonshot: 'moonshotai', ovhcloud: 'ovhcloud',
};

// The package's price → ours. Prices per thousand requests and per hour are not of tokens.
const prices = {
  input_mtok: 'input_per_mtok', output_mtok: 'output_per_mtok',
  cache_read_mtok: 'cache_read_per_mtok', cache_write_mtok: 'cache_write_per_mtok',
  cache_write_1h_mtok: 'cache_write_1h_per_mtok', input_audio_mtok: 'input_audio_per_mtok',
  output_audio_mtok: 'output_audio_per_mtok', output_image_mtok: 'output_image_per_mtok',
};

const require = createRequire(join(from, 'package.json'));
const file = require.resolve('@pydantic/genai-prices');
const { findProvider } = await import(pathToFileURL(file).href);
const manifest = JSON.parse(readFileSync(join(dirname(file), '..', 'package.json'), 'utf8'));

// ^text, digits as \d or \d{n}, escaped dots, an end; ^(?!.*-word) is "does not contain".
function patternOfRegex(source) {
  const not = /^\^\(\?!\.\*(.+)\)$/.exec(source);
  if (not) {
    const letters = not[1].replace(/\(\?:\$\|-\)$/, '').replace(/\[(\w)\w\]/g, '$1');
    if (/^[\w-]+$/.test(letters)) return `!*${letters}*`;
  }
  let text = source, open = true;
  if (!text.startsWith('^')) throw new Error(`regex ${source}`);
  text = text.slice(1);
  if (text.endsWith('$')) { text = text.slice(0, -1); open = false; }
  text = text.replace(/\\d\{(\d+)\}/g, (_, n) => '#'.repeat(Number(n))).replace(/\\d/g, '#').replace(/\\\./g, '\0');
  if (/[\\()[\]{}|+?*^$.]/.test(text)) throw new Error(`regex ${source}`);
  return text.replace(/\0/g, '.') + (open ? '*' : '');
}

function patterns(match) {
  const [[op, value]] = Object.entries(match);
  switch (op) {
    case 'equals': return [value];
    case 'starts_with': return [`${value}*`];
    case 'ends_with': return [`*${value}`];
    case 'contains': return [`*${value}*`];
    case 'regex': return [patternOfRegex(value)];
    case 'or': return value.flatMap(patterns);
    case 'and': return value.map(patterns).reduce((all, one) => all.flatMap(a => one.map(o => `${a} & ${o}`)));
    default: throw new Error(`match ${op}`);
  }
}

const today = new Date().toISOString().slice(0, 10);
const number = v => Number(v.toFixed(6)); // six decimals are what a price has
const base = v => (typeof v === 'object' ? v.base : v);

// One price of a model at any time: see the head.
function current(list) {
  if (!Array.isArray(list)) return list;
  let found = list[0].prices;
  const hours = [];
  for (const { constraint, prices: p } of list.slice(1)) {
    if (constraint.type === 'time_of_date') hours.push(p);
    else if (constraint.start_date <= today) found = p;
  }
  return hours.reduce((dearest, p) => (base(p.output_mtok) > base(dearest.output_mtok) ? p : dearest), found);
}

function priceOf(p, free) {
  const price = {}, tiers = new Map();
  for (const [theirs, ours] of Object.entries(prices)) {
    const v = p[theirs];
    if (v === undefined || v === null) continue;
    price[ours] = number(base(v));
    for (const t of v.tiers ?? []) {
      if (!tiers.has(t.start)) tiers.set(t.start, {});
      tiers.get(t.start)[ours] = number(t.price);
    }
  }
  if (price.input_per_mtok === undefined) {
    if (!free) return null; // not billed by tokens
    price.input_per_mtok = 0;
  }
  price.output_per_mtok ??= 0;
  if (tiers.size) {
    price.above = [...tiers].sort(([a], [b]) => a - b)
      .map(([tokens, t]) => ({ tokens, ...price, ...t }))
      .map(({ above, ...t }) => t);
  }
  return price;
}

const unread = [];
const catalogues = Object.entries(vendors).map(([name, id]) => ({
  name,
  source: `${today} (${manifest.name} ${manifest.version})`,
  models: findProvider({ providerId: id }).models.flatMap(m => {
    const price = priceOf(current(m.prices), m.id.endsWith(':free'));
    if (!price) { unread.push(`${name}/${m.id}`); return []; }
    const row = { model: m.id, match: [...new Set(patterns(m.match))] };
    if (m.context_window) row.context_tokens = m.context_window;
    return [{ ...row, price }];
  }),
}));

const head = {
  notice: 'Prices and context windows are derived from @pydantic/genai-prices, MIT licence, '
    + 'Copyright (c) Pydantic Services Inc. See catalogue.LICENSE. Written by derive.mjs; not edited by hand.',
  derived: today,
};
const lines = catalogues.map(c => `{"name":${JSON.stringify(c.name)},"source":${JSON.stringify(c.source)},"models":[\n`
  + c.models.map(m => JSON.stringify(m)).join(',\n') + '\n]}');
writeFileSync(join(here, 'catalogue.json'),
  `{"notice":${JSON.stringify(head.notice)},\n"derived":"${head.derived}",\n"catalogues":[\n${lines.join(',\n')}\n]}\n`);
writeFileSync(join(here, 'catalogue.LICENSE'), readFileSync(join(dirname(file), '..', 'LICENSE'), 'utf8'));
console.log(`${catalogues.reduce((n, c) => n + c.models.length, 0)} models of ${catalogues.length} vendors;`
  + ` not billed by tokens, left out: ${unread.length}`);
