// OpenAI's own SDK, chat completions, in its last two majors, and as the client of Azure OpenAI that it is too.
import assert from 'node:assert/strict';
import OpenAI, { AzureOpenAI } from 'openai';
import OpenAI6 from 'openai-6';
import { picture, report, said, weather } from '../kit.mjs';

const tools = [
  { type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } },
];

const plain = (client, body) => client.chat.completions.create(body);
const streamed = (client, body) => client.chat.completions.stream(body).finalChatCompletion();

function checkUsage(u, usage) {
  assert.equal(u.prompt_tokens, usage.fresh + usage.cached);
  assert.equal(u.prompt_tokens_details?.cached_tokens ?? 0, usage.cached);
  assert.equal(u.completion_tokens, usage.output);
  assert.equal(u.total_tokens, usage.fresh + usage.cached + usage.output);
}

const row = (name, clientOf, { RateLimitError }) => {
  const start = (t, more = {}) => {
    const messages = [
      { role: 'system', content: said.system },
      { role: 'user', content: 'Hello' },
    ];
    return { client: clientOf(t), body: { model: t.model, messages, ...more } };
  };

  async function useTools(t, wanted, ask) {
    const { client, body } = start(t, { tools });
    const { message, finish_reason } = (await ask(client, body)).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    const given = message.tool_calls.map((c) => JSON.parse(c.function.arguments));
    assert.deepEqual(given, [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    const results = message.tool_calls.map((c, i) => ({ role: 'tool', tool_call_id: c.id, content: said.results[i] }));
    const said_ = { role: 'assistant', content: message.content, tool_calls: message.tool_calls.map(({ id, type, function: { name, arguments: a } }) => ({ id, type, function: { name, arguments: a } })) };
    const last = await ask(client, { ...body, messages: [...body.messages, said_, ...results] });
    assert.equal(last.choices[0].message.content, said.answer.join(''));
    assert.equal(last.choices[0].finish_reason, 'stop');
  }

  return {
    name,
    dialect: 'openai chat',
    async text(t) {
      const { client, body } = start(t);
      const got = await client.chat.completions.create(body);
      assert.equal(got.choices[0].message.content, said.text.join(''));
      assert.equal(got.choices[0].finish_reason, 'stop');
      checkUsage(got.usage, t.usage);
    },
    async stream(t) {
      const { client, body } = start(t, { stream: true, stream_options: { include_usage: true } });
      const pieces = [];
      let finish, last;
      for await (const chunk of await client.chat.completions.create(body)) {
        assert.ok(Array.isArray(chunk.choices));
        if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
        finish = chunk.choices[0]?.finish_reason ?? finish;
        last = chunk;
      }
      assert.deepEqual(pieces, said.text);
      assert.equal(finish, 'stop');
      checkUsage(last.usage, t.usage);
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
      const content = [
        { type: 'text', text: 'What is it?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
      ];
      const { client, body } = start(t);
      body.messages[1].content = content;
      assert.equal((await plain(client, body)).choices[0].message.content, said.text.join(''));
    },
    async schema(t) {
      const json_schema = { name: report.name, schema: report.schema, strict: true };
      const { client, body } = start(t, { response_format: { type: 'json_schema', json_schema } });
      for (const ask of [plain, streamed])
        assert.deepEqual(JSON.parse((await ask(client, body)).choices[0].message.content), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const { client, body } = start(t, { reasoning_effort: 'medium' });
      const { message } = (await plain(client, body)).choices[0];
      assert.equal(message.reasoning_content, said.reasoning.join(''));
      assert.equal(message.content, said.text.join(''));
      let reasoning = '';
      for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
        reasoning += chunk.choices[0]?.delta.reasoning_content ?? '';
      assert.equal(reasoning, said.reasoning.join(''));
    },
    async error(t) {
      const { client, body } = start(t);
      const e = await plain(client, body).then(() => assert.fail('it was not refused'), (e) => e);
      assert.ok(e instanceof RateLimitError, `${e}`);
      assert.equal(e.headers.get('retry-after'), '1');
    },
    async broken(t) {
      const { client, body } = start(t, { stream: true });
      let text = '', finish;
      const read = async () => {
        for await (const chunk of await client.chat.completions.create(body)) {
          text += chunk.choices[0]?.delta.content ?? '';
          finish = chunk.choices[0]?.finish_reason ?? finish;
        }
      };
      const e = await read().then(() => assert.fail('it ended as if it were whole'), (e) => e);
      assert.match(e.message, new RegExp(said.overloaded));
      assert.equal(text, said.text[0]);
      assert.equal(finish, undefined);
    },
    async abort(t) {
      const { client, body } = start(t, { stream: true });
      for await (const chunk of await client.chat.completions.create(body)) if (chunk.choices[0]?.delta.content) return;
    },
  };
};

const openai = (Client) => (t) => new Client({ apiKey: t.key, baseURL: `${t.url}/v1`, maxRetries: 0 });
// The deployment is the model, be it named by the client or by the call.
const azure = (t) =>
  new AzureOpenAI({ apiKey: t.key, endpoint: t.url, apiVersion: '2024-10-21', deployment: t.model, maxRetries: 0 });

export default [
  row('openai 7.x chat', openai(OpenAI), OpenAI),
  row('openai 6.x chat', openai(OpenAI6), OpenAI6),
  row('openai 7.x, Azure', azure, OpenAI),
];
