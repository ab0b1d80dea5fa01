// Cohere's own SDK, whose chat of version 2 this is.
import assert from 'node:assert/strict';
import { CohereClientV2, CohereError } from 'cohere-ai';
import { picture, report, said, weather } from '../kit.mjs';

const start = (t, more = {}) => ({
  client: new CohereClientV2({ token: t.key, environment: t.url, maxRetries: 0 }),
  body: {
    model: t.model,
    maxTokens: 4096,
    messages: [{ role: 'system', content: said.system }, { role: 'user', content: 'Hello' }],
    ...more,
  },
});
const tools = [{ type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } }];

const plain = (client, body) => client.chat(body, { maxRetries: 0 });

// The response that its events build, as an application does it.
async function streamed(client, body, pieces = []) {
  const got = { message: { content: [], toolCalls: [] } };
  for await (const e of await client.chatStream(body, { maxRetries: 0 })) {
    const message = e.delta?.message;
    if (e.type === 'content-start') got.message.content[e.index] = { ...message.content };
    if (e.type === 'content-delta') {
      const { text, thinking } = message.content;
      const block = got.message.content[e.index];
      if (text !== undefined) {
        block.text += text;
        pieces.push(text);
      }
      if (thinking !== undefined) block.thinking += thinking;
    }
    if (e.type === 'tool-call-start') got.message.toolCalls[e.index] = structuredClone(message.toolCalls);
    if (e.type === 'tool-call-delta') got.message.toolCalls[e.index].function.arguments += message.toolCalls.function.arguments;
    if (e.type === 'message-end') {
      if (e.delta.error) throw new Error(e.delta.error);
      got.finishReason = e.delta.finishReason;
      got.usage = e.delta.usage;
    }
  }
  return got;
}

const textOf = (got) => (got.message.content ?? []).map((c) => c.text ?? '').join('');
const thoughtOf = (got) => (got.message.content ?? []).map((c) => c.thinking ?? '').join('');

function checkUsage(got, usage) {
  assert.equal(got.usage.tokens.inputTokens, usage.fresh + usage.cached);
  assert.equal(got.usage.tokens.outputTokens, usage.output);
}

async function useTools(t, wanted, ask) {
  const { client, body } = start(t, { tools });
  const first = await ask(client, body);
  const calls = first.message.toolCalls;
  assert.equal(first.finishReason, 'TOOL_CALL');
  assert.deepEqual(calls.map((c) => JSON.parse(c.function.arguments)), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
  assert.equal(new Set(calls.map((c) => c.id)).size, wanted);
  const results = calls.map((c, i) => ({ role: 'tool', toolCallId: c.id, content: said.results[i] }));
  const messages = [...body.messages, { role: 'assistant', toolCalls: calls }, ...results];
  const last = await ask(client, { ...body, messages });
  assert.equal(textOf(last), said.answer.join(''));
  assert.equal(last.finishReason, 'COMPLETE');
}

const refused = (promise) => promise.then(() => assert.fail('it was not refused'), (e) => e);

export default [
  {
    name: 'cohere-ai 8.x',
    dialect: 'cohere',
    async text(t) {
      const { client, body } = start(t);
      const got = await plain(client, body);
      assert.equal(textOf(got), said.text.join(''));
      assert.equal(got.finishReason, 'COMPLETE');
      checkUsage(got, t.usage);
    },
    async stream(t) {
      const { client, body } = start(t);
      const pieces = [];
      const got = await streamed(client, body, pieces);
      assert.deepEqual(pieces, said.text);
      assert.equal(got.finishReason, 'COMPLETE');
      checkUsage(got, t.usage);
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
        { type: 'image_url', imageUrl: { url: `data:image/png;base64,${picture}` } },
        { type: 'text', text: 'What is it?' },
      ];
      const { client, body } = start(t);
      body.messages[1] = { role: 'user', content };
      assert.equal(textOf(await plain(client, body)), said.text.join(''));
    },
    async schema(t) {
      const { client, body } = start(t, { responseFormat: { type: 'json_object', jsonSchema: report.schema } });
      for (const ask of [plain, streamed]) assert.deepEqual(JSON.parse(textOf(await ask(client, body))), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const { client, body } = start(t, { thinking: { type: 'enabled', tokenBudget: 2048 } });
      for (const ask of [plain, streamed]) {
        const got = await ask(client, body);
        assert.equal(thoughtOf(got), said.reasoning.join(''));
        assert.equal(textOf(got), said.text.join(''));
      }
    },
    async error(t) {
      const { client, body } = start(t);
      const e = await refused(plain(client, body));
      assert.ok(e instanceof CohereError, `${e}`);
      assert.equal(e.statusCode, 429);
    },
    async broken(t) {
      const { client, body } = start(t);
      const pieces = [];
      const e = await refused(streamed(client, body, pieces));
      assert.match(e.message, new RegExp(said.overloaded));
      assert.deepEqual(pieces, said.text.slice(0, 1));
    },
    async abort(t) {
      const { client, body } = start(t);
      const left = new AbortController();
      const read = async () => {
        for await (const e of await client.chatStream(body, { maxRetries: 0, abortSignal: left.signal })) if (e.type === 'content-delta') left.abort();
      };
      await read().catch((e) => assert.match(`${e.name} ${e.message}`, /[aA]bort/));
    },
  },
];
