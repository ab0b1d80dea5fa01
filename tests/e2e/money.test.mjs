// Budgets hold to the nano-dollar, and what was recorded is what the provider would bill.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { Gateway, named, nano, newTrace, run, traceparent, until } from '../kit/node/gateway.mjs';

const gateway = new Gateway();
const hello = [{ role: 'user', content: 'Hello' }];

// Input is free and a token of output costs a dollar, so that a call's price is what the test says.
const DOLLAR = { input_per_mtok: 0, output_per_mtok: 1_000_000 };

before(async () => {
  await gateway.provider();
  await gateway.model('dollar', '?chunks=1', { price: DOLLAR, max_output_tokens: 1 });
  // set aside: four; spent: one
  await gateway.model('cautious', '?chunks=1&delay_ms=5', { price: DOLLAR, max_output_tokens: 4 });
  await gateway.model('mixed', '?chunks=7', { price: { input_per_mtok: 3, output_per_mtok: 15 } });
  await gateway.model('mute', '?chunks=5&usage=0', { price: { input_per_mtok: 3, output_per_mtok: 15 } });
  await gateway.model('vectors', '', {
    targets: [{ provider: named('prov'), model: 'demo-embedding' }],
    price: { input_per_mtok: 1, output_per_mtok: 0 },
  });
});

// A key of its own team, either of which may have a budget.
async function payer({ team = {}, key = {} }) {
  const name = `payer-${newTrace().slice(0, 8)}`;
  await gateway.create('teams', { name, ...team });
  await gateway.create('grants', { team: name, models: ['*'] });
  const made = await gateway.virtualKey({ team: name, ...key });
  return { ...made, team: name };
}

const budget = (usd) => ({ budget: { limit_usd: usd, period: 'total' } });

async function buy(payer, { url = gateway.url, model = 'dollar', trace = newTrace(), body = {} } = {}) {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${payer.key}`,
      'content-type': 'application/json',
      traceparent: traceparent(trace),
      'x-gatehouse-session': `money-${payer.public_part}`,
    },
    body: JSON.stringify({ model: named(model), messages: hello, ...body }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, trace };
}

const code = (answer) => JSON.parse(answer.text).error.code;

// What the control plane says that a key has spent, once everything is in.
async function spent(payer) {
  await gateway.shipped();
  const row = (await gateway.get('spend?group_by=key')).items.find((r) => r.key === payer.public_part);
  return row ? nano(row.cost_usd) : 0n;
}

// What the provider would bill for those calls, at a dollar a token.
async function billed(answers) {
  const ours = new Set(answers.map((a) => a.trace));
  return (await gateway.ledger()).filter((e) => ours.has(e.trace)).reduce((sum, e) => sum + BigInt(e.completion_tokens), 0n);
}

describe('a budget that fits seven calls lets exactly seven pass', () => {
  for (const [whose, of] of Object.entries({
    'of a key': () => payer({ key: budget(7) }),
    'of a team': () => payer({ team: budget(7) }),
    'of a team, when the key has more': () => payer({ team: budget(7), key: budget(100) }),
    'of a key, when the team has more': () => payer({ team: budget(100), key: budget(7) }),
  }))
    test(whose, async () => {
      const it = await of();
      const answers = [];
      for (let i = 0; i < 10; i++) answers.push(await buy(it));
      assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200, 200, 200, 200, 429, 429, 429]);
      const refused = answers.at(-1);
      assert.equal(code(refused), 'budget_exceeded');
      assert.equal(refused.headers.get('x-should-retry'), 'false');
      const said = JSON.parse(refused.text).error.message;
      assert.match(said, /of 7\.000000000 USD/, 'it says how much');
      assert.ok(said.includes(whose.startsWith('of a team') ? `team "${it.team}"` : `key "${it.name}"`), said);
      assert.equal(await spent(it), nano(7));
      assert.equal(await billed(answers), 7n);
    });
});

test('the official client does not try again when the money is gone', async () => {
  const it = await payer({ key: budget(0.5) });
  let requests = 0;
  const client = new OpenAI({
    apiKey: it.key,
    baseURL: `${gateway.url}/v1`,
    maxRetries: 3,
    fetch: (...args) => {
      requests++;
      return fetch(...args);
    },
  });
  await assert.rejects(
    client.chat.completions.create({ model: named('dollar'), messages: hello }),
    (e) => e instanceof OpenAI.RateLimitError && e.code === 'budget_exceeded',
  );
  assert.equal(requests, 1);
});

test('a raised budget opens again, within the same period', async () => {
  const it = await payer({ key: budget(2) });
  for (const status of [200, 200, 429]) assert.equal((await buy(it)).status, status);
  const patched = await gateway.admin('PATCH', `keys/${it.id}?wait=applied`, budget(3));
  assert.equal(patched.status, 200, patched.text);
  await until(async () => (await buy(it)).status === 200, 5, 'the third dollar');
  assert.equal((await buy(it)).status, 429);
  assert.equal(await spent(it), nano(3));
});

describe('fifty at once never overspend', () => {
  test('where each costs what was set aside', async () => {
    const it = await payer({ key: budget(20) });
    const answers = await Promise.all(Array.from({ length: 50 }, () => buy(it)));
    const passed = answers.filter((a) => a.status === 200).length;
    assert.equal(passed, 20, `${passed} passed`);
    for (const a of answers) if (a.status !== 200) assert.equal(code(a), 'budget_exceeded', a.text);
    assert.equal(await spent(it), nano(20));
    assert.equal(await billed(answers), 20n);
  });

  test('where each costs a quarter of what was set aside', async () => {
    const it = await payer({ team: budget(20) });
    const answers = [];
    for (let round = 0; round < 6; round++)
      answers.push(...(await Promise.all(Array.from({ length: 50 }, () => buy(it, { model: 'cautious' })))));
    const passed = answers.filter((a) => a.status === 200).length;
    const all = await spent(it);
    assert.equal(all, nano(passed));
    assert.ok(all <= nano(20), `${all} of 20`);
    assert.ok(passed >= 17, `${passed} passed: what was set aside and not spent must come back`);
    assert.equal(await billed(answers), BigInt(passed));
  });
});

test('two data planes at once never overspend, and all of it can be spent', { skip: gateway.urls.length < 2 && 'one plane' }, async () => {
  const it = await payer({ key: budget(30), team: budget(40) });
  const answers = [];
  for (let round = 0; round < 4; round++)
    answers.push(
      ...(await Promise.all(Array.from({ length: 40 }, (_, i) => buy(it, { url: gateway.urls[i % gateway.urls.length] })))),
    );
  const passed = () => answers.filter((a) => a.status === 200).length;
  assert.ok(passed() <= 30, `${passed()} passed`);
  for (const a of answers) if (a.status !== 200) assert.match(code(a), /^(budget_exceeded|overloaded)$/, a.text);
  // what one plane holds and does not use is another's after a while
  await until(
    async () => {
      if (passed() < 30) answers.push(await buy(it, { url: gateway.urls[answers.length % gateway.urls.length] }));
      return passed() === 30;
    },
    30,
    'the last dollars',
  );
  for (const url of gateway.urls) assert.equal((await buy(it, { url })).status, 429);
  assert.equal(await spent(it), nano(30));
  assert.equal(await billed(answers), 30n);
});

test('a call that might cost more than is left is refused before it is sent', async () => {
  const it = await payer({ key: budget(3) });
  const big = await buy(it, { model: 'cautious', body: { max_tokens: 4 } });
  assert.equal(big.status, 429);
  assert.equal(await billed([big]), 0n);
  assert.equal((await buy(it, { model: 'cautious', body: { max_tokens: 3 } })).status, 200);
});

test('both ledgers are equal to the token', async () => {
  const it = await payer({});
  const kinds = [
    () => ({ model: 'mixed' }),
    () => ({ model: 'mixed', body: { stream: true } }),
    () => ({ model: 'mixed', body: { stream: true, stream_options: { include_usage: true } } }),
    () => ({ model: 'mixed', body: { max_tokens: 3 } }),
    () => ({ model: 'mixed', body: { messages: [{ role: 'user', content: 'x'.repeat(1 + Math.random() * 3000) }] } }),
    () => ({ model: 'mixed', body: { n: 2 } }),
    () => ({ model: 'mixed', body: { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }], tool_choice: 'required' } }),
  ];
  const answers = [];
  for (let round = 0; round < 6; round++)
    answers.push(
      ...(await Promise.all(
        Array.from({ length: 28 }, (_, i) => buy(it, { url: gateway.urls[i % gateway.urls.length], ...kinds[i % kinds.length]() })),
      )),
    );
  const embed = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const trace = newTrace();
      const answer = await fetch(`${gateway.urls[i % gateway.urls.length]}/v1/embeddings`, {
        method: 'POST',
        headers: { authorization: `Bearer ${it.key}`, 'content-type': 'application/json', traceparent: traceparent(trace), 'x-gatehouse-session': `money-${it.public_part}` },
        body: JSON.stringify({ model: named('vectors'), input: ['y'.repeat(i + 1), 'z'] }),
      });
      await answer.text();
      return { status: answer.status, trace };
    }),
  );
  const traces = new Set([...answers, ...embed].map((a) => a.trace));
  for (const a of [...answers, ...embed]) assert.equal(a.status, 200, a.text);
  await gateway.shipped();
  const calls = (await gateway.all(`spans?session=${await sessionOf(it)}`)).filter((s) => s.kind === 'call');
  const entries = (await gateway.ledger()).filter((e) => traces.has(e.trace));
  assert.equal(entries.length, traces.size);
  assert.equal(calls.length, traces.size);
  const byTrace = new Map(entries.map((e) => [e.trace, e]));
  let cost = 0n;
  for (const span of calls) {
    const entry = byTrace.get(span.trace_id);
    assert.ok(entry, 'a span without a bill');
    assert.equal(span.usage_source, 'provider');
    assert.deepEqual(
      { input: span.tokens.input, output: span.tokens.output ?? 0 },
      { input: entry.prompt_tokens, output: entry.completion_tokens },
    );
    const price = span.model === named('vectors') ? [1000n, 0n] : [3000n, 15000n];
    const own = BigInt(entry.prompt_tokens) * price[0] + BigInt(entry.completion_tokens) * price[1];
    assert.equal(nano(span.cost_usd), own);
    cost += own;
  }
  assert.equal(await spent(it), cost);
  const session = await gateway.get(`sessions/${await sessionOf(it)}`);
  assert.equal(nano(session.cost_usd), cost);
  assert.equal(session.tokens.output, entries.reduce((n, e) => n + e.completion_tokens, 0));
});

async function sessionOf(payer) {
  return (await gateway.get(`sessions/money-${payer.public_part}`)).id;
}

test('where the provider reports nothing what it sent is estimated, and never below what was written', async () => {
  const it = await payer({ key: budget(1) });
  const plain = await buy(it, { model: 'mute' });
  const streamed = await buy(it, { model: 'mute', body: { stream: true } });
  for (const answer of [plain, streamed]) {
    assert.equal(answer.status, 200, answer.text);
    const [call] = await gateway.trace(answer.trace, `money-${it.public_part}`);
    const [entry] = await gateway.ledgerOf(answer.trace);
    assert.notEqual(call.usage_source, 'provider');
    assert.ok(call.tokens.output >= entry.completion_tokens, `${call.tokens.output} of ${entry.completion_tokens}`);
    // the demo provider counts a token for four bytes of JSON; the estimate is what a tokenizer makes of the text
    assert.ok(call.tokens.input >= entry.prompt_tokens / 2, `${call.tokens.input} of ${entry.prompt_tokens}`);
    assert.ok(nano(call.cost_usd) > 0n);
  }
});
