// The sentence that this product began with: an application imports `openai`, asks for `claude-sonnet-4`, and the
// gateway goes to Anthropic, falls back to OpenAI on failure, and logs the cost. And the reverse.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Gateway, named, nano, newTrace, run, traceparent } from '../kit/node/gateway.mjs';
import { upstream as listen } from '../kit/node/upstream.mjs';
import { said, sendJson, usage } from './matrix/kit.mjs';
import anthropics from './matrix/upstreams/anthropic.mjs';
import openais from './matrix/upstreams/openai.mjs';

const anthropic = anthropics.find((u) => u.name === 'anthropic');
const openai = openais.find((u) => u.name === 'openai');

const gateway = new Gateway();
const hello = [{ role: 'user', content: 'Hello' }];
const text = said.text.join('');
const listeners = [];
let key;

const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };

// What a provider does before its first event, in place of a response.
const failures = {
  'is overloaded': (res, status) => sendJson(res, status, overloaded),
  'says nothing': () => {},
  'hangs up at once': (res) => res.destroy(),
  'breaks off behind the head': (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.flushHeaders();
    setTimeout(() => res.destroy(), 20);
  },
};

async function model(name, first, second) {
  await gateway.create('models', {
    name: named(name),
    targets: [
      { provider: named(`seed-${first.name}-bad`), model: `${first.model}-text` },
      { provider: named(`seed-${second.name}`), model: `${second.model}-text` },
    ],
    price: { input_per_mtok: 3, output_per_mtok: 15, cache_read_per_mtok: 0.3 },
    max_output_tokens: 4096,
    timeouts: { first_byte_ms: 700 },
  });
}

const bad = {}; // provider's name → what it does now

async function provider(kind, port) {
  const good = await listen(port, kind.answer);
  const failing = await listen(port + 1, (one, res) => bad[kind.name](res));
  listeners.push(good, failing);
  for (const [suffix, mock] of [['', good], ['-bad', failing]])
    await gateway.create('providers', {
      name: named(`seed-${kind.name}${suffix}`),
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret: `sk-${kind.name}-${run}` }],
      breaker: { failures: 100 }, // each failure here is to be tried anew
      ...kind.provider(mock.url),
    });
}

const names = { claude: 'claude-sonnet-4', gpt: 'gpt-5' };

before(async () => {
  await provider(anthropic, gateway.port(50));
  await provider(openai, gateway.port(52));
  await model(names.claude, anthropic, openai);
  await model(names.gpt, openai, anthropic);
  key = (await gateway.virtualKey({ models: Object.values(names).map(named) })).key;
});

after(() => listeners.forEach((l) => l.close()));

// What the trace says: both attempts, and what the one that answered cost.
async function expectTrace(trace, session, second) {
  const [call, ...attempts] = await gateway.trace(trace, session);
  const cost = BigInt(usage.fresh) * 3000n + BigInt(usage.cached) * 300n + BigInt(usage.output) * 15000n;
  assert.equal(call.attempts, 2);
  assert.equal(call.provider, named(`seed-${second}`));
  assert.equal(call.status, 'ok');
  attempts.sort((a, b) => a.started_at.localeCompare(b.started_at));
  assert.equal(attempts.length, 2);
  const { provider: by, tokens } = attempts[1];
  assert.equal(by, named(`seed-${second}`));
  assert.equal(tokens.input, usage.fresh + usage.cached);
  assert.equal(tokens.cache_read, usage.cached);
  assert.equal(tokens.output, usage.output);
  return { call, cost, failed: attempts[0] };
}

const labels = (trace, session) => ({ traceparent: traceparent(trace), 'x-gatehouse-session': session });

const clients = {
  'openai, asking for claude-sonnet-4': {
    asks: names.claude,
    first: anthropic,
    second: openai,
    status: 529,
    async plain(headers) {
      const client = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0, defaultHeaders: headers });
      const { data, response } = await client.chat.completions.create({ model: named(names.claude), messages: hellos(true) }).withResponse();
      return { text: data.choices[0].message.content, response };
    },
    async streamed(headers) {
      const client = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0, defaultHeaders: headers });
      const { data, response } = await client.chat.completions.create({ model: named(names.claude), messages: hellos(true), stream: true }).withResponse();
      let got = '';
      for await (const chunk of data) got += chunk.choices[0]?.delta.content ?? '';
      return { text: got, response };
    },
  },
  '@anthropic-ai/sdk, asking for gpt-5': {
    asks: names.gpt,
    first: openai,
    second: anthropic,
    status: 503,
    async plain(headers) {
      const client = new Anthropic({ apiKey: key, baseURL: gateway.url, maxRetries: 0, defaultHeaders: headers });
      const body = { model: named(names.gpt), max_tokens: 256, system: said.system, messages: hello };
      const { data, response } = await client.messages.create(body).withResponse();
      return { text: data.content[0].text, response };
    },
    async streamed(headers) {
      const client = new Anthropic({ apiKey: key, baseURL: gateway.url, maxRetries: 0, defaultHeaders: headers });
      const body = { model: named(names.gpt), max_tokens: 256, system: said.system, messages: hello };
      const { data, response } = await client.messages.stream(body).withResponse();
      return { text: await data.finalText(), response };
    },
  },
};
const hellos = (system) => (system ? [{ role: 'system', content: said.system }, ...hello] : hello);

for (const [client, c] of Object.entries(clients)) {
  describe(client, () => {
    for (const [failure, fail] of Object.entries(failures)) {
      for (const way of ['plain', 'streamed']) {
        test(`${way}: the first provider ${failure}, the other answers, and the trace says what it cost`, async () => {
          const trace = newTrace();
          const session = `seed-${trace.slice(0, 8)}`;
          bad[c.first.name] = (res) => fail(res, c.status);
          const got = await c[way](labels(trace, session));
          assert.equal(got.text, text);
          assert.equal(got.response.headers.get('x-gatehouse-provider'), named(`seed-${c.second.name}`));
          assert.equal(got.response.headers.get('x-gatehouse-attempts'), '2');
          const { call, cost, failed } = await expectTrace(trace, session, c.second.name);
          // beside it stands what the first may bill all the same: the prompt of a request that was taken back, or all
          // that was reserved where a response had begun
          const beside = nano(call.cost_usd) - cost;
          assert.ok(beside >= 0n && beside < 4096n * 15000n + 1_000_000n, `${call.cost_usd}, not ${cost}`);
          if (failure === 'is overloaded') assert.equal(beside, 0n);
          assert.equal(failed.status, 'error');
        });
      }
    }
  });
}
