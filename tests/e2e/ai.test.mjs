// The AI gate, used by the official OpenAI client against a running installation.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { Gateway, named, nano, newTrace, run, traceparent, until } from '../kit/node/gateway.mjs';
import { exchange, request } from '../kit/node/raw.mjs';
import { sayCompletion, upstream } from '../kit/node/upstream.mjs';

const gateway = new Gateway();
const hello = [{ role: 'user', content: 'Hello' }];
let agent, otherAgent, key, otherKey, client, scripted;
let script = sayCompletion; // what the scripted upstream does with (seen, res)

const clientOf = (apiKey, headers = {}) =>
  new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0, defaultHeaders: headers });

async function refused(promise, Class, status, code) {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (e) => e,
  );
  assert.ok(error instanceof Class, `${error?.constructor?.name}: ${error?.message}`);
  assert.equal(error.status, status, error.message);
  if (code) assert.equal(error.code, code, error.message);
  return error;
}

const headersOf = (more = {}) => ({ authorization: `Bearer ${key.key}`, 'content-type': 'application/json', ...more });
const post = (body, headers = headersOf(), path = '/v1/chat/completions') =>
  fetch(gateway.url + path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });

before(async () => {
  scripted = await upstream(gateway.port(0), (one, res) => script(res, one));
  await gateway.provider();
  await gateway.provider('scripted', `${scripted.url}/v1`, `sk-scripted-${run}`);
  await gateway.model('chat');
  await gateway.model('embed', '', { targets: [{ provider: named('prov'), model: 'demo-embedding' }] });
  await gateway.model('scripted', '', { targets: [{ provider: named('scripted'), model: 'inner-name' }] });
  await gateway.create('teams', { name: named('ai-team') });
  await gateway.create('grants', {
    team: named('ai-team'),
    models: ['chat', 'embed', 'scripted', 'falls', 'fails', 'long', 'breaks', 'claude', 'claude-down'].map(named),
  });
  agent = await gateway.create('agents', { name: named('ai-agent'), team: named('ai-team') });
  otherAgent = await gateway.create('agents', { name: named('ai-other'), team: named('ai-team') });
  key = await gateway.virtualKey({ agent: agent.name, models: undefined });
  otherKey = await gateway.virtualKey({ agent: otherAgent.name, models: undefined });
  client = clientOf(key.key);
});

after(() => scripted?.close());

describe('chat', () => {
  test('a plain completion carries text, usage, cost and its session', async () => {
    const { data, response } = await client.chat.completions
      .create({ model: named('chat'), messages: hello })
      .withResponse();
    assert.match(data.choices[0].message.content, /demo provider/);
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.equal(response.headers.get('x-gatehouse-model'), named('chat'));
    assert.equal(response.headers.get('x-gatehouse-provider'), named('prov'));
    assert.equal(response.headers.get('x-gatehouse-attempts'), '1');
    assert.match(response.headers.get('x-gatehouse-session'), /^s_[0-9A-Za-z]{22}$/);
    assert.equal(data._request_id, response.headers.get('x-request-id'));
    const cost = BigInt(data.usage.prompt_tokens) * 150n + BigInt(data.usage.completion_tokens) * 600n;
    assert.equal(nano(response.headers.get('x-gatehouse-cost-usd')), cost);
  });

  test('a stream that did not ask for usage gets none, and is billed all the same', async () => {
    const trace = newTrace();
    const stream = await client.chat.completions.create(
      { model: named('chat'), messages: hello, stream: true },
      { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `nousage-${run}` } },
    );
    let text = '';
    let last = null;
    for await (const chunk of stream) {
      assert.ok(chunk.choices.length > 0, 'no chunk without choices: usage was not asked for');
      assert.ok(!('usage' in chunk), 'usage was not asked for');
      text += chunk.choices[0].delta.content ?? '';
      last = chunk.choices[0].finish_reason ?? last;
    }
    assert.match(text, /^The demo provider answers/);
    assert.equal(last, 'stop');
    const [call] = await gateway.trace(trace, `nousage-${run}`);
    const [billed] = await gateway.ledgerOf(trace);
    assert.equal(call.usage_source, 'provider');
    assert.equal(call.tokens.input, billed.prompt_tokens);
    assert.equal(call.tokens.output, billed.completion_tokens);
  });

  test('a stream that asked for usage gets it in its last chunk', async () => {
    const stream = await client.chat.completions.create({
      model: named('chat'),
      messages: hello,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.at(-1);
    assert.equal(last.choices.length, 0);
    assert.equal(last.usage.completion_tokens, 12);
    assert.ok(chunks.slice(0, -1).every((c) => c.choices.length > 0));
  });

  const weather = {
    type: 'function',
    function: { name: 'get_weather', description: 'w', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  };

  test('tool calls come through, plain and streamed', async () => {
    const ask = { model: named('chat'), messages: [{ role: 'user', content: 'use get_weather' }], tools: [weather] };
    const plain = await client.chat.completions.create(ask);
    assert.equal(plain.choices[0].finish_reason, 'tool_calls');
    const called = plain.choices[0].message.tool_calls[0];
    assert.equal(called.function.name, 'get_weather');
    JSON.parse(called.function.arguments);

    const whole = await client.chat.completions.stream(ask).finalChatCompletion();
    assert.equal(whole.choices[0].message.tool_calls[0].function.name, 'get_weather');

    const answered = await client.chat.completions.create({
      ...ask,
      messages: [...ask.messages, plain.choices[0].message, { role: 'tool', tool_call_id: called.id, content: '21' }],
    });
    assert.equal(answered.choices[0].finish_reason, 'stop');
  });
});

// The demo provider's second dialect: the OpenAI client never knows that its model speaks another.
describe('a provider that speaks Anthropic', () => {
  const weather = {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'w',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  };

  before(async () => {
    await gateway.create('providers', {
      name: named('claude'),
      dialect: 'anthropic',
      base_url: `${gateway.providerUrl}/v1`,
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret: `sk-ant-${run}` }],
    });
    const target = (scenario = '') => ({ provider: named('claude'), model: `claude-sonnet-4-6${scenario}` });
    await gateway.model('claude', '', { targets: [target()] });
    await gateway.model('claude-down', '', {
      targets: [target('?fail_percent=100&fail_status=529'), { provider: named('prov'), model: 'demo-chat?chunks=3' }],
    });
  });

  test('a plain completion, its usage and its cost', async () => {
    const { data, response } = await client.chat.completions
      .create({ model: named('claude'), messages: [{ role: 'system', content: 'be kind' }, ...hello], seed: 1 })
      .withResponse();
    assert.match(data.choices[0].message.content, /demo provider/);
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.match(response.headers.get('x-gatehouse-cost-usd'), /^\d+\.\d{9}$/);
    assert.equal(response.headers.get('x-gatehouse-notice'), 'seed');
  });

  test('a stream is whole and counts itself', async () => {
    const stream = await client.chat.completions.create({
      model: named('claude'),
      messages: hello,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '', finish, usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.match(text, /demo provider/);
    assert.equal(finish, 'stop');
    assert.equal(usage.completion_tokens, 12);
  });

  test('tools are called and answered, plain and streamed, and reasoning comes with them', async () => {
    const ask = { model: named('claude'), messages: [{ role: 'user', content: 'use get_weather' }], tools: [weather] };
    const plain = await client.chat.completions.create(ask);
    const [called] = plain.choices[0].message.tool_calls;
    assert.equal(plain.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(JSON.parse(called.function.arguments), { city: 'demo' });

    const whole = await client.chat.completions.stream(ask).finalChatCompletion();
    assert.deepEqual(JSON.parse(whole.choices[0].message.tool_calls[0].function.arguments), { city: 'demo' });

    const second = { ...called, id: 'functions.get_weather:1' }; // as other providers name their calls
    const answered = await client.chat.completions.create({
      ...ask,
      messages: [
        ...ask.messages,
        { ...plain.choices[0].message, tool_calls: [called, second] },
        { role: 'tool', tool_call_id: called.id, content: '21' },
        { role: 'tool', tool_call_id: second.id, content: '22' },
        { role: 'user', content: 'and now?' },
      ],
      tool_choice: 'none',
    });
    assert.equal(answered.choices[0].finish_reason, 'stop');

    const thought = await client.chat.completions.create({ ...ask, messages: hello, reasoning_effort: 'low' });
    assert.match(thought.choices[0].message.reasoning_content, /thinks/);
  });

  test('what it cannot be told is a BadRequestError that names the member', async () => {
    const ask = { model: named('claude'), messages: hello, n: 2 };
    const error = await refused(client.chat.completions.create(ask), OpenAI.BadRequestError, 400, 'unsupported_parameter');
    assert.equal(error.param, 'n');
  });

  test('overloaded, it is followed by a target of another dialect, and the call has its cost', async () => {
    const { data, response } = await client.chat.completions
      .create({ model: named('claude-down'), messages: hello })
      .withResponse();
    assert.equal(data.usage.completion_tokens, 3);
    assert.equal(response.headers.get('x-gatehouse-attempts'), '2');
    assert.ok(Number(response.headers.get('x-gatehouse-cost-usd')) > 0);
  });
});

describe('embeddings and models', () => {
  test('embeddings are the same as floats and as the base64 the client asks for by itself', async () => {
    const ask = { model: named('embed'), input: ['one', 'two'], dimensions: 8 };
    const byDefault = await client.embeddings.create(ask);
    const floats = await client.embeddings.create({ ...ask, encoding_format: 'float' });
    assert.equal(byDefault.data.length, 2);
    assert.equal(byDefault.data[0].embedding.length, 8);
    for (let i = 0; i < 8; i++)
      assert.ok(Math.abs(byDefault.data[1].embedding[i] - floats.data[1].embedding[i]) < 1e-6);
    assert.equal(floats.usage.prompt_tokens, 2);
  });

  test('the list holds what the key may use and nothing else', async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes(named('chat')));
    assert.ok(!ids.includes('demo-chat'), 'another team has it');
    assert.equal((await client.models.retrieve(named('chat'))).id, named('chat'));
    await refused(client.models.retrieve('demo-chat'), OpenAI.NotFoundError, 404, 'model_not_found');
  });

  test('a model that does not exist and one that is not granted are both unknown', async () => {
    for (const model of ['no-such-model', 'demo-chat'])
      await refused(client.chat.completions.create({ model, messages: hello }), OpenAI.NotFoundError, 404, 'model_not_found');
  });
});

describe('refusals speak the dialect', () => {
  test('an unknown key is an AuthenticationError', async () => {
    const unknown = `gh-abcdefghijkl-${'A'.repeat(49)}`;
    for (const bad of [unknown, 'sk-something', 'gh-'])
      await refused(clientOf(bad).chat.completions.create({ model: named('chat'), messages: hello }), OpenAI.AuthenticationError, 401);
  });

  test('a request of the wrong shape is a BadRequestError that names the member', async () => {
    const error = await refused(
      client.chat.completions.create({ model: named('chat'), messages: 'Hello' }),
      OpenAI.BadRequestError,
      400,
    );
    assert.match(error.message, /messages/);
    assert.equal(error.param, 'messages');
  });

  test('too many requests are a RateLimitError that says when to come again', async () => {
    const slow = await gateway.virtualKey({ agent: agent.name, models: undefined, limits: { rpm: 1 } });
    const it = clientOf(slow.key);
    const ask = () => it.chat.completions.create({ model: named('chat'), messages: hello });
    const { response } = await ask().withResponse();
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '1');
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '0');
    const error = await refused(ask(), OpenAI.RateLimitError, 429, 'rate_limit_exceeded');
    const after = Number(error.headers.get('retry-after'));
    assert.ok(after >= 1 && after <= 60, `retry-after: ${after}`);
  });

  test('two credentials of two principals are ambiguous, and twice the same is one', async () => {
    const body = { model: named('chat'), messages: hello };
    const two = await post(body, headersOf({ 'x-api-key': otherKey.key }));
    assert.equal(two.status, 401);
    assert.equal((await two.json()).error.code, 'ambiguous_credential');
    assert.equal((await post(body, headersOf({ 'x-api-key': key.key }))).status, 200);
  });

  test('a body above 32 MiB is 413, before it is sent', async () => {
    const answer = await exchange(gateway.url, [
      request('POST', '/v1/chat/completions', headersOf({ 'content-length': 33 * 1024 * 1024 })),
    ]);
    assert.equal(answer.status, 413);
    assert.equal(JSON.parse(answer.body).error.code, 'request_too_large');
  });

  test('a chunked body above 32 MiB is cut off at the ceiling', async () => {
    const size = 1024 * 1024;
    const chunk = Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), Buffer.alloc(size, 32), Buffer.from('\r\n')]);
    const pieces = [request('POST', '/v1/chat/completions', headersOf({ 'transfer-encoding': 'chunked' }))];
    for (let i = 0; i < 34; i++) pieces.push(chunk);
    assert.equal((await exchange(gateway.url, pieces, { pauseMs: 1 })).status, 413);
  });

  test('a member that stands twice, also in disguise, is a 400 that names it', async () => {
    for (const body of [
      `{"model":"${named('chat')}","model":"other","messages":[]}`,
      `{"model":"${named('chat')}","mod\\u0065l":"other","messages":[]}`,
      `{"model":"${named('chat')}","Model":"other","messages":[]}`,
    ]) {
      const answer = await post(body);
      const { error } = await answer.json();
      assert.equal(answer.status, 400, body);
      assert.equal(error.code, 'invalid_json');
      assert.match(error.message, /"mod(el|\\u0065l)"/i);
    }
  });

  test('JSON that is too deep, cut off, or not UTF-8 is a 400', async () => {
    const deep = `{"model":"${named('chat')}","messages":${'['.repeat(200)}${']'.repeat(200)}}`;
    const cut = `{"model":"${named('chat')}","messages":[`;
    const latin = Buffer.from(`{"model":"${named('chat')}","messages":[{"role":"user","content":"\xff"}]}`, 'latin1');
    for (const body of [deep, cut]) assert.equal((await post(body)).status, 400);
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers: headersOf(), body: latin });
    assert.equal(answer.status, 400);
  });

  test('a body in a coding that is not read is 415, one that is broken 400, another method 405, another path 404', async () => {
    assert.equal((await post('x', headersOf({ 'content-encoding': 'br' }))).status, 415);
    assert.equal((await post('x', headersOf({ 'content-encoding': 'gzip' }))).status, 400);
    assert.equal((await fetch(`${gateway.url}/v1/chat/completions`, { headers: headersOf() })).status, 405);
    assert.equal((await fetch(`${gateway.url}/v1/nothing`, { headers: headersOf() })).status, 404);
  });

  test('a head that drips in for ten seconds is 408', async () => {
    const head = request('POST', '/v1/chat/completions', headersOf()).slice(0, -2);
    const started = performance.now();
    const answer = await exchange(gateway.url, [head, ...Array.from({ length: 60 }, (_, i) => `x-${i}: y\r\n`)], { pauseMs: 300, seconds: 20 });
    assert.equal(answer.status, 408);
    const took = performance.now() - started;
    assert.ok(took > 8000 && took < 15000, `${took} ms`);
  });
});

describe('what reaches the upstream', () => {
  test('every byte the client sent but the name of the model', async () => {
    const body =
      `{"model" : "${named('scripted')}", "messages":[{"role":"user","content":"\\u00e4 \u00e4"}],` +
      ' "future_field":{"a":[1,2.50,1e3,null]}, "logit_bias":{"50256":-100},\n "seed":12345678901234567890,' +
      ' "response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true}} }';
    const before = scripted.seen.length;
    const answer = await post(body);
    assert.equal(answer.status, 200);
    assert.equal(scripted.seen.length, before + 1);
    assert.equal(scripted.seen.at(-1).body, body.replace(named('scripted'), 'inner-name'));
    assert.equal(scripted.seen.at(-1).url, '/v1/chat/completions');
  });

  test('and what the upstream answers comes back untouched', async () => {
    script = (res) => sayCompletion(res, { new_member: { deep: [1, 2, 3] }, service_tier: 'odd' });
    const answer = await post({ model: named('scripted'), messages: hello });
    script = sayCompletion;
    const json = await answer.json();
    assert.deepEqual(json.new_member, { deep: [1, 2, 3] });
    assert.equal(json.service_tier, 'odd');
  });

  test("what the model's policy says of its calls, and of the rest nothing else, whatever name the client uses", async () => {
    await gateway.model('shaped', '', {
      targets: [{ provider: named('scripted'), model: 'inner-name' }],
      defaults: { temperature: 0.2 },
      overrides: { top_p: 0.5 },
      drop: ['seed'],
      headers: [{ name: 'x-tenant', value: run }],
      system_prompt: 'Answer in "one" word.',
    });
    await gateway.create('grants', { team: named('ai-team'), models: [named('shaped')] });
    await gateway.create('aliases', { name: named('quick'), model: named('scripted') });
    await gateway.create('aliases', { name: named('quick'), model: named('shaped'), agent: agent.name });
    const trace = newTrace();
    const { data, response } = await client.chat.completions
      .create(
        { model: named('quick'), messages: hello, seed: 7, top_p: 1 },
        { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `shaped-${run}` } },
      )
      .withResponse();
    assert.ok(data.choices[0].message.content.length > 0);
    assert.equal(response.headers.get('x-gatehouse-notice'), 'seed');
    assert.equal(response.headers.get('x-gatehouse-model'), named('shaped'));
    const seen = scripted.seen.at(-1);
    assert.equal(seen.headers['x-tenant'], run);
    assert.deepEqual(JSON.parse(seen.body), {
      model: 'inner-name',
      messages: [{ role: 'system', content: 'Answer in "one" word.' }, ...hello],
      temperature: 0.2,
      top_p: 0.5,
    });
    const [call] = await gateway.trace(trace, `shaped-${run}`);
    assert.equal(call.model, named('shaped'));
    assert.equal(call.requested_model, named('quick'));
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.equal(ids.filter((id) => id === named('quick')).length, 1);
    await clientOf(otherKey.key).chat.completions.create({ model: named('quick'), messages: hello, seed: 7 });
    assert.equal(JSON.parse(scripted.seen.at(-1).body).seed, 7, "the org's own name leads to another model");
  });

  test('no header that speaks of the hop, of the caller or of somebody else', async () => {
    const body = JSON.stringify({ model: named('scripted'), messages: hello });
    const answer = await exchange(gateway.url, [
      request(
        'POST',
        '/v1/chat/completions',
        headersOf({
          'content-length': Buffer.byteLength(body),
          connection: 'keep-alive, x-mine',
          'x-mine': 'by connection',
          'proxy-authorization': 'Basic eDp5',
          te: 'trailers',
          'keep-alive': 'timeout=5',
          cookie: 'sid=secret',
          'x-http-method-override': 'DELETE',
          'x-original-url': '/admin',
          'x-rewrite-url': '/admin',
          'x-api-key': key.key,
          'api-key': 'sk-callers-own',
          'x-gatehouse-session': `hop-${run}`,
          forwarded: 'for=6.6.6.6',
          'x-forwarded-for': '6.6.6.6',
          host2: 'x',
        }),
        body,
      ),
    ]);
    assert.equal(answer.status, 200, answer.body);
    const { headers } = scripted.seen.at(-1);
    assert.equal(headers.authorization, `Bearer sk-scripted-${run}`);
    assert.equal(headers.host, new URL(scripted.url).host);
    assert.match(headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    for (const name of [
      'x-mine', 'proxy-authorization', 'te', 'keep-alive', 'cookie', 'x-http-method-override', 'x-original-url',
      'x-rewrite-url', 'x-api-key', 'api-key', 'x-gatehouse-session', 'host2',
    ])
      assert.equal(headers[name], undefined, name);
    assert.ok(!JSON.stringify(headers).includes('6.6.6.6'));
    assert.ok(!JSON.stringify(headers).includes(key.key));
  });

  test('hop-by-hop headers and cookies of an upstream stay behind', async () => {
    script = (res) => {
      res.setHeader('set-cookie', 'provider=1');
      res.setHeader('x-internal', 'secret');
      sayCompletion(res);
    };
    const answer = await post({ model: named('scripted'), messages: hello });
    script = sayCompletion;
    assert.equal(answer.headers.get('set-cookie'), null);
    assert.equal(answer.headers.get('x-internal'), null);
  });

  test('an upstream that sends our credential back does not tell it to the caller', async () => {
    script = (res) => {
      res.setHeader('x-ratelimit-remaining-requests', `sk-scripted-${run}`);
      sayCompletion(res, { heard: `Bearer sk-scripted-${run}` });
    };
    const answer = await post({ model: named('scripted'), messages: hello });
    script = sayCompletion;
    const text = await answer.text();
    const headers = JSON.stringify([...answer.headers]);
    assert.ok(!text.includes(`sk-scripted-${run}`));
    assert.ok(!headers.includes(`sk-scripted-${run}`));
  });
});

describe('a weighted model', () => {
  test('shares its calls by weight: absent is one, nothing is only for when all others fail', async () => {
    await gateway.provider('heavy');
    await gateway.provider('light');
    await gateway.provider('spare');
    const target = (provider, more = {}) => ({ provider: named(provider), model: 'demo-chat', ...more });
    const made = await gateway.model('shared', '', {
      strategy: 'weighted',
      targets: [target('spare', { weight: 0 }), target('heavy', { weight: 3 }), target('light')],
    });
    assert.equal('not_enforced' in made, false);
    const one = await gateway.virtualKey({ models: [named('shared')] });
    const calls = { heavy: 0, light: 0, spare: 0 };
    for (let i = 0; i < 120; i++) {
      const answer = await post({ model: named('shared'), messages: hello }, headersOf({ authorization: `Bearer ${one.key}` }));
      assert.equal(answer.status, 200, await answer.text());
      calls[answer.headers.get('x-gatehouse-provider').replace(`-${run}`, '')]++;
    }
    assert.equal(calls.spare, 0);
    // 90 and 30 expected; six standard deviations (4.7) of such a draw
    assert.ok(calls.heavy >= 62 && calls.heavy <= 118, JSON.stringify(calls));
  });
});

describe('when things go wrong', () => {
  test('the second target answers when the first one fails', async () => {
    await gateway.model('falls', '', {
      targets: [
        { provider: named('prov'), model: 'demo-chat?fail_percent=100&fail_status=503' },
        { provider: named('prov'), model: 'demo-chat?chunks=3' },
      ],
    });
    const trace = newTrace();
    const { data, response } = await client.chat.completions
      .create(
        { model: named('falls'), messages: hello },
        { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `falls-${run}` } },
      )
      .withResponse();
    assert.equal(data.usage.completion_tokens, 3);
    assert.equal(response.headers.get('x-gatehouse-attempts'), '2');
    const [call, ...attempts] = await gateway.trace(trace, `falls-${run}`);
    assert.equal(call.status, 'ok');
    assert.equal(call.attempts, 2);
    assert.deepEqual(attempts.map((a) => a.status).sort(), ['error', 'ok']);
    assert.ok(attempts.every((a) => a.kind === 'attempt' && a.parent === call.id && a.gate === 'ai'));
  });

  test('when every target fails the caller hears the upstream error', async () => {
    await gateway.model('fails', '?fail_percent=100&fail_status=500');
    await refused(client.chat.completions.create({ model: named('fails'), messages: hello }), OpenAI.InternalServerError, 502);
  });

  test('a client that leaves in mid-stream cancels the upstream and is billed what was used', async () => {
    await gateway.model('long', '?chunks=500&chunk_ms=20');
    const trace = newTrace();
    const stream = await client.chat.completions.create(
      { model: named('long'), messages: hello, stream: true },
      { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `leaves-${run}` } },
    );
    let heard = 0;
    for await (const chunk of stream) {
      assert.ok(chunk.choices.length);
      if (++heard === 10) break; // leaving the loop aborts
    }
    stream.controller.abort();
    const [call] = await gateway.trace(trace, `leaves-${run}`);
    assert.equal(call.status, 'cancelled');
    const [before] = await gateway.ledgerOf(trace);
    await sleep(300);
    const [billed] = await gateway.ledgerOf(trace);
    assert.equal(billed.complete, false);
    assert.equal(billed.completion_tokens, before.completion_tokens, 'the provider still talks');
    assert.ok(billed.completion_tokens < 100, `${billed.completion_tokens} pieces were sent`);
    assert.ok(call.tokens.output >= 10, `billed ${call.tokens.output} of ${billed.completion_tokens}`);
    assert.ok(nano(call.cost_usd) > 0n);
    assert.notEqual(call.usage_source, 'provider');
  });

  test('an upstream that breaks in mid-stream is told in the dialect', async () => {
    await gateway.model('breaks', '?chunks=50&cut=5&chunk_ms=1');
    const trace = newTrace();
    const stream = await client.chat.completions.create(
      { model: named('breaks'), messages: hello, stream: true },
      { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `breaks-${run}` } },
    );
    let heard = 0;
    const error = await (async () => {
      for await (const chunk of stream) heard += chunk.choices.length;
    })().then(
      () => assert.fail('the stream ended as if it were whole'),
      (e) => e,
    );
    assert.ok(error instanceof OpenAI.APIError, `${error.constructor.name}: ${error.message}`);
    assert.equal(heard, 5);
    assert.equal(error.code, 'upstream_error');
    const [call, attempt] = await gateway.trace(trace, `breaks-${run}`);
    assert.equal(call.status, 'error');
    assert.equal(call.code, 'upstream_error', 'what the client was told');
    assert.equal(attempt.code, 'closed', 'how the upstream failed');
    assert.ok(call.tokens.output > 0);
  });
});

describe('sessions', () => {
  test('the same label of another principal is another session', async () => {
    const label = `label-${run}`;
    const of = async (one) =>
      (await post({ model: named('chat'), messages: hello }, headersOf({ authorization: `Bearer ${one.key}`, 'x-gatehouse-session': label }))).headers.get(
        'x-gatehouse-session',
      );
    const mine = await of(key);
    assert.equal(await of(key), mine);
    assert.notEqual(await of(otherKey), mine);
    const stolen = await post(
      { model: named('chat'), messages: hello },
      headersOf({ authorization: `Bearer ${otherKey.key}`, 'x-gatehouse-session': mine }),
    );
    assert.notEqual(stolen.headers.get('x-gatehouse-session'), mine, 'an id of somebody else is only a word');
    await until(
      async () => (await gateway.admin('GET', `sessions/${label}`)).status === 409,
      10,
      'a label that two have is a 409',
    );
  });
});
