// What the clients and upstreams of the matrix share: the conversation of each scenario, as both ends
// must see it whatever dialects lie between them.
//
// The target's model ends in the name of the scenario ("claude-sonnet-4-6-tools"), so that a mock of a provider
// knows what to say. A mock speaks its dialect as the provider does and refuses what the provider would refuse.
import { readdirSync } from 'node:fs';

// Each with its letter in the table. The error is a 429 that names a second, for which its credential rests: it comes last, so
// that no other call waits for that.
export const scenarios = {
  text: 'T', stream: 'S', tools: 'C', parallel: 'P', image: 'I', schema: 'J', reasoning: 'R', broken: 'B', abort: 'A', error: 'E',
};

// A PNG of one pixel.
export const picture =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

export const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  schema: {
    type: 'object',
    properties: { city: { type: 'string', description: 'its name' } },
    required: ['city'],
    additionalProperties: false,
  },
};

export const report = {
  name: 'report',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' }, degrees: { type: 'number' } },
    required: ['city', 'degrees'],
    additionalProperties: false,
  },
};

export const said = {
  system: 'Answer briefly.',
  text: ['Hello ', 'there.'],
  reasoning: ['Let me ', 'think.'],
  answer: ['It is 21 ', 'degrees.'],
  report: ['{"city":"Paris",', '"degrees":21}'],
  results: ['21', '17'],
  prompt: 'Answer briefly. Hello', // of a client that knows texts alone
  limited: 'Slow down',
  overloaded: 'Too many of you',
};

// Prompt 100 (90 of it from a cache), output 5 (3 of it reasoning).
export const usage = { fresh: 10, cached: 90, output: 5, reasoning: 3 };

const calls = [
  { id: 'call_1', name: weather.name, arguments: ['{"city":', '"Paris"}'] },
  { id: 'call_2', name: weather.name, arguments: ['{"city":"Os', 'lo"}'] },
];

export const scenarioOf = (model) => model.split('-').at(-1);

// What a provider says in a scenario, once it was given so many results of tools.
export function plan(scenario, results) {
  const wanted = { tools: 1, parallel: 2 }[scenario];
  if (scenario === 'error') return { status: 429 };
  if (wanted && results.length === 0) return { calls: calls.slice(0, wanted), finish: 'calls' };
  if (wanted) return { text: said.answer, finish: 'stop' };
  if (scenario === 'schema') return { text: said.report, finish: 'stop' };
  if (scenario === 'reasoning') return { reasoning: said.reasoning, text: said.text, finish: 'stop' };
  if (scenario === 'broken') return { text: said.text, breaks: true };
  if (scenario === 'abort') return { text: said.text, hangs: true };
  return { text: said.text, finish: 'stop' };
}

// What the provider refuses: thrown by the checks of a mock, which answers it in its own envelope.
export class Refused extends Error {}
export const demand = (holds, what) => {
  if (!holds) throw new Refused(what);
};
export const only = (object, allowed, where) => {
  for (const name of Object.keys(object)) demand(allowed.includes(name), `${where}.${name}: not allowed here`);
};
// What a scenario shows of the request at the upstream.
export const demandScenario = (scenario, { image, schema, system, results }, body) => {
  demand(system?.includes(said.system) || JSON.stringify(body).includes(said.prompt), 'the system prompt did not arrive');
  if (scenario === 'image') demand(image === picture, 'the picture did not arrive');
  if (scenario === 'schema') demand(schema?.properties?.degrees, 'the schema did not arrive');
  if (results.length) demand(results.every((r, i) => r.includes(said.results[i])), 'results in another order');
};

export const sendJson = (res, status, body, headers = {}) => {
  const text = JSON.stringify(body);
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers });
  res.end(text);
};

// A stream that says nothing more. `gone` resolves when its client has left.
export let gone = Promise.resolve();
export const hang = (res) => {
  gone = new Promise((resolve) => res.once('close', resolve));
};

// One way to read and write a conversation: each module of a folder.
export async function modules(folder) {
  const names = readdirSync(new URL(folder, import.meta.url)).filter((n) => n.endsWith('.mjs'));
  const all = await Promise.all(names.sort().map((n) => import(new URL(`${folder}/${n}`, import.meta.url))));
  return all.flatMap((m) => m.default);
}
