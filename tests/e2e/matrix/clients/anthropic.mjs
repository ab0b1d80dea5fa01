// Anthropic's own SDK, in both of its majors: 0.x sends x-api-key and version 2023-06-01, 1.x a bearer token and
// 2026-10-21.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import Anthropic0 from 'anthropic-sdk-0';
import { picture, report, said, weather } from '../kit.mjs';

const tools = [{ name: weather.name, description: weather.description, input_schema: weather.schema }];
const textOf = (message) => message.content.filter((b) => b.type === 'text').map((b) => b.text).join('');
const callsOf = (message) => message.content.filter((b) => b.type === 'tool_use');

function checkUsage(message, usage) {
  assert.equal(message.usage.input_tokens, usage.fresh);
  assert.equal(message.usage.cache_read_input_tokens, usage.cached);
  assert.equal(message.usage.output_tokens, usage.output);
}

const row = (name, Client) => {
  const start = (t, more = {}) => {
    const client = new Client({ apiKey: t.key, baseURL: t.url, maxRetries: 0 });
    const body = {
      model: t.model,
      max_tokens: 4096,
      system: said.system,
      messages: [{ role: 'user', content: 'Hello' }],
      ...more,
    };
    return { client, body };
  };

  // the turn of the model, then the results of its calls, plain or streamed
  async function useTools(t, wanted, ask) {
    const { client, body } = start(t, { tools });
    const first = await ask(client, body);
    const calls = callsOf(first);
    assert.equal(first.stop_reason, 'tool_use');
    assert.deepEqual(calls.map((c) => c.input), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    assert.equal(new Set(calls.map((c) => c.id)).size, wanted);
    const results = calls.map((c, i) => ({ type: 'tool_result', tool_use_id: c.id, content: said.results[i] }));
    const messages = [...body.messages, { role: 'assistant', content: first.content }, { role: 'user', content: results }];
    const last = await ask(client, { ...body, messages });
    assert.equal(textOf(last), said.answer.join(''));
    assert.equal(last.stop_reason, 'end_turn');
  }
  const plain = (client, body) => client.messages.create(body);
  const streamed = (client, body) => client.messages.stream(body).finalMessage();

  const refused = async (promise, status) => {
    const e = await promise.then(() => assert.fail('it was not refused'), (e) => e);
    assert.ok(e instanceof Client.APIError, `${e}`);
    assert.equal(e.status, status, e.message);
    return e;
  };

  return {
    name,
    dialect: 'anthropic',
    async text(t) {
      const { client, body } = start(t);
      const message = await client.messages.create(body);
      assert.equal(textOf(message), said.text.join(''));
      assert.equal(message.type, 'message');
      assert.equal(message.stop_reason, 'end_turn');
      checkUsage(message, t.usage);
    },
    async stream(t) {
      const { client, body } = start(t);
      const pieces = [];
      const stream = client.messages.stream(body).on('text', (text) => pieces.push(text));
      const message = await stream.finalMessage();
      assert.deepEqual(pieces, said.text);
      assert.equal(message.stop_reason, 'end_turn');
      checkUsage(message, t.usage);
    },
    async tools(t) {
      await useTools(t, 1, plain);
      await useTools(t, 1, streamed);
    },
    async parallel(t) {
      await useTools(t, 2, plain);
      await useTools(t, 2, streamed);
    },
    async image(t) {
      const source = { type: 'base64', media_type: 'image/png', data: picture };
      const content = [{ type: 'image', source }, { type: 'text', text: 'What is it?' }];
      const { client, body } = start(t, { messages: [{ role: 'user', content }] });
      assert.equal(textOf(await client.messages.create(body)), said.text.join(''));
    },
    async schema(t) {
      const { client, body } = start(t, { output_config: { format: { type: 'json_schema', schema: report.schema } } });
      for (const ask of [plain, streamed])
        assert.deepEqual(JSON.parse(textOf(await ask(client, body))), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const { client, body } = start(t, { thinking: { type: 'enabled', budget_tokens: 2048 } });
      for (const ask of [plain, streamed]) {
        const message = await ask(client, body);
        assert.equal(message.content[0].type, 'thinking');
        assert.equal(message.content[0].thinking, said.reasoning.join(''));
        assert.equal(textOf(message), said.text.join(''));
      }
    },
    async error(t) {
      const { client, body } = start(t);
      const e = await refused(client.messages.create(body), 429);
      assert.ok(e instanceof Client.RateLimitError);
      assert.equal(e.error.error.type, 'rate_limit_error');
      assert.ok(e.requestID);
      assert.equal(e.headers.get('retry-after'), '1');
    },
    async broken(t) {
      const { client, body } = start(t);
      let text = '';
      const read = async () => {
        for await (const e of await client.messages.create({ ...body, stream: true })) {
          assert.notEqual(e.type, 'message_stop');
          text += e.delta?.text ?? '';
        }
      };
      const e = await read().then(() => assert.fail('it ended as if it were whole'), (e) => e);
      assert.ok(e instanceof Client.APIError, `${e}`);
      assert.match(e.message, new RegExp(said.overloaded));
      assert.equal(text, said.text[0]);
    },
    async abort(t) {
      const { client, body } = start(t);
      for await (const e of await client.messages.create({ ...body, stream: true })) if (e.delta?.text) return;
    },
  };
};

export default [row('@anthropic-ai/sdk 1.x', Anthropic), row('@anthropic-ai/sdk 0.x', Anthropic0)];
