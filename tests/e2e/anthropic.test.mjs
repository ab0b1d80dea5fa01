// Anthropic's dialect, used by Anthropic's own clients against a running installation: what the matrix does not try.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import Anthropic0 from 'anthropic-sdk-0';
import { Gateway, named, newTrace, run, traceparent, until } from '../kit/node/gateway.mjs';
import { upstream as listen } from '../kit/node/upstream.mjs';
import { said } from './matrix/kit.mjs';
import anthropics from './matrix/upstreams/anthropic.mjs';
import openais from './matrix/upstreams/openai.mjs';

const anthropic = anthropics.find((u) => u.name === 'anthropic');
const openai = openais.find((u) => u.name === 'openai');

const gateway = new Gateway();
const listeners = [];
const mocks = {};
let key, poor;

const body = (model, more = {}) => ({
  model: named(model),
  max_tokens: 256,
  system: said.system,
  messages: [{ role: 'user', content: 'Hello' }],
  ...more,
});
const clients = {
  '1.x': (more = {}) => new Anthropic({ apiKey: key.key, baseURL: gateway.url, maxRetries: 0, ...more }),
  '0.x': (more = {}) => new Anthropic0({ apiKey: key.key, baseURL: gateway.url, maxRetries: 0, ...more }),
};

async function refused(promise) {
  return promise.then(() => assert.fail('it was not refused'), (e) => e);
}

before(async () => {
  for (const [kind, port] of [[anthropic, 60], [openai, 61]]) {
    const mock = await listen(gateway.port(port), (one, res) => mocks[kind.name].answer(one, res));
    mocks[kind.name] = { ...kind, ...mock };
    listeners.push(mock);
    await gateway.create('providers', {
      name: named(`an-${kind.name}`),
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret: `sk-${kind.name}-${run}` }],
      ...kind.provider(mock.url),
    });
    await gateway.model(`an-${kind.name}`, '', { targets: [{ provider: named(`an-${kind.name}`), model: `${kind.model}-text` }] });
  }
  const models = ['an-anthropic', 'an-openai'].map(named);
  key = await gateway.virtualKey({ models });
  poor = await gateway.virtualKey({ models, budget: { limit_usd: '0.000001', period: 'day' } });
});

after(() => listeners.forEach((l) => l.close()));

for (const [version, client] of Object.entries(clients)) {
  describe(`@anthropic-ai/sdk ${version}`, () => {
    test('models are listed page by page, and one is found', async () => {
      const ids = [];
      for await (const m of client().models.list()) {
        assert.equal(m.type, 'model');
        assert.ok(!Number.isNaN(Date.parse(m.created_at)));
        ids.push(m.id);
      }
      assert.deepEqual(ids.sort(), ['an-anthropic', 'an-openai'].map(named).sort());
      const one = await client().models.retrieve(named('an-anthropic'));
      assert.equal(one.display_name, named('an-anthropic'));
      assert.equal(one.max_tokens, 4096);
      assert.equal((await refused(client().models.retrieve('nothing'))).status, 404);
    });

    test('tokens are counted by the target, or estimated', async () => {
      const { model, system, messages } = body('an-anthropic');
      assert.deepEqual(await client().messages.countTokens({ model, system, messages }), { input_tokens: 2095 });
      const ask = { model: named('an-openai'), system, messages };
      const { data, response } = await client().messages.countTokens(ask).withResponse();
      assert.ok(data.input_tokens > 4 && data.input_tokens < 60, `${data.input_tokens}`);
      assert.match(response.headers.get('x-gatehouse-notice'), /estimate/);
    });

    test('refusals are the classes that the SDK has for them', async () => {
      const stranger = await refused(client({ apiKey: 'gh-nobody' }).messages.create(body('an-anthropic')));
      assert.equal(stranger.constructor.name, 'AuthenticationError');
      assert.ok(stranger.requestID);
      const unknown = await refused(client().messages.create(body('nothing')));
      assert.equal(unknown.constructor.name, 'NotFoundError');
      assert.equal(unknown.error.request_id, unknown.requestID);
    });

    test('a budget that is spent is refused once, and the SDK does not try again', async () => {
      const seen = mocks.anthropic.seen.length;
      let requests = 0;
      const counting = (...args) => (requests++, fetch(...args));
      const e = await refused(client({ apiKey: poor.key, maxRetries: 3, fetch: counting }).messages.create(body('an-anthropic')));
      assert.equal(e.constructor.name, 'RateLimitError');
      assert.equal(e.error.error.details.error_code, 'budget_exceeded');
      assert.equal(requests, 1);
      assert.equal(mocks.anthropic.seen.length, seen);
    });

    test('betas go to Anthropic as they are, and are named where they go nowhere', async () => {
      const ask = { ...body('an-anthropic'), betas: ['context-management-2025-06-27'], context_management: { edits: [] } };
      await client().beta.messages.create(ask);
      const sent = mocks.anthropic.seen.at(-1);
      assert.match(sent.headers['anthropic-beta'], /context-management-2025-06-27/);
      assert.ok('context_management' in JSON.parse(sent.body));
      const { response } = await client().beta.messages.create({ ...ask, model: named('an-openai') }).withResponse();
      assert.match(response.headers.get('x-gatehouse-notice'), /context_management.*context-management-2025-06-27/);
    });

    test('the session of Claude Code is the session of the call', async () => {
      const trace = newTrace();
      const session = `${run}-${version.replace('.', '')}-5f6a`;
      const metadata = { user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: session }) };
      await client({ defaultHeaders: { traceparent: traceparent(trace) } }).messages.create(body('an-anthropic', { metadata }));
      const [call] = await gateway.trace(trace, session);
      assert.equal(call.tokens.input, 100);
      assert.equal(call.tokens.cache_read, 90);
    });

    for (const kind of ['anthropic', 'openai'])
      test(`a client that aborts is gone at the upstream too: ${kind}`, async () => {
        const mock = mocks[kind];
        let gone;
        const { answer } = mock;
        // the first event of a stream, and then nothing more
        mock.answer = (one, res) => {
          const end = res.end.bind(res);
          let writes = 0;
          const write = res.write.bind(res);
          res.write = (data) => ++writes > (kind === 'anthropic' ? 4 : 2) || write(data);
          res.end = () => {};
          gone = new Promise((resolve) => res.on('close', () => resolve(performance.now())));
          answer(one, res);
          setTimeout(end, 20_000).unref();
        };
        try {
          const stream = client().messages.stream(body(`an-${kind}`));
          await new Promise((resolve, reject) => stream.once('text', resolve).once('error', reject));
          const from = performance.now();
          stream.abort();
          await refused(stream.finalMessage());
          const took = (await gone) - from;
          assert.ok(took < 300, `${took} ms`); // 100 ms on a machine that does nothing else
        } finally {
          mock.answer = answer;
        }
      });
  });
}
