// The AI SDK (package `ai`) with its providers of OpenAI's, Anthropic's, Gemini's and Bedrock's dialect: it checks every frame against a schema.
import assert from 'node:assert/strict';
import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { picture, report, said, weather } from '../kit.mjs';

const tools = {
  [weather.name]: tool({ description: weather.description, inputSchema: jsonSchema(weather.schema) }),
};

const row = (name, dialect, modelOf) => {
  const start = (t, more = {}) => ({
    model: modelOf(t),
    instructions: said.system,
    messages: [{ role: 'user', content: 'Hello' }],
    maxOutputTokens: 4096,
    maxRetries: 0,
    providerOptions: { openai: { store: false } }, // what is kept elsewhere is kept by OpenAI alone
    ...more,
  });
  const plain = async (options) => generateText(options);
  async function streamed(options) {
    let failed;
    const r = streamText({ ...options, onError: ({ error }) => (failed = error) });
    await r.consumeStream();
    if (failed) throw failed;
    return {
      text: await r.text, toolCalls: await r.toolCalls, finishReason: await r.finishReason, usage: await r.usage,
      reasoningText: await r.reasoningText, output: options.output && (await r.output), messages: (await r.response).messages,
    };
  }
  const messagesOf = (got) => got.messages ?? got.response.messages;

  async function useTools(t, wanted, ask) {
    const options = start(t, { tools });
    const first = await ask(options);
    assert.equal(first.finishReason, 'tool-calls');
    assert.deepEqual(first.toolCalls.map((c) => c.input), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    const content = first.toolCalls.map((c, i) => ({
      type: 'tool-result', toolCallId: c.toolCallId, toolName: c.toolName, output: { type: 'text', value: said.results[i] },
    }));
    const messages = [...options.messages, ...messagesOf(first), { role: 'tool', content }];
    const last = await ask({ ...options, messages });
    assert.equal(last.text, said.answer.join(''));
  }

  return {
    name,
    dialect,
    async text(t) {
      const got = await plain(start(t));
      assert.equal(got.text, said.text.join(''));
      assert.equal(got.finishReason, 'stop');
      assert.equal(got.usage.inputTokens, t.usage.fresh + t.usage.cached);
      assert.equal(got.usage.outputTokens, t.usage.output);
    },
    async stream(t) {
      const got = await streamed(start(t));
      assert.equal(got.text, said.text.join(''));
      assert.equal(got.finishReason, 'stop');
      assert.equal(got.usage.inputTokens, t.usage.fresh + t.usage.cached);
      assert.equal(got.usage.outputTokens, t.usage.output);
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
        { type: 'file', data: Buffer.from(picture, 'base64'), mediaType: 'image/png' },
        { type: 'text', text: 'What is it?' },
      ];
      const got = await plain(start(t, { messages: [{ role: 'user', content }] }));
      assert.equal(got.text, said.text.join(''));
    },
    async schema(t) {
      const output = Output.object({ schema: jsonSchema(report.schema), name: report.name });
      // it knows no model of this name, and would take a forced tool
      const providerOptions = { anthropic: { structuredOutputMode: 'outputFormat' }, openai: { store: false } };
      for (const ask of [plain, streamed])
        assert.deepEqual((await ask(start(t, { output, providerOptions }))).output, { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const providerOptions = {
        anthropic: { thinking: { type: 'enabled', budgetTokens: 2048 } },
        google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } },
        openai: { store: false, forceReasoning: true, reasoningEffort: 'medium', reasoningSummary: 'auto' },
        bedrock: { reasoningConfig: { type: 'enabled', budgetTokens: 2048 } },
      };
      for (const ask of [plain, streamed]) {
        const got = await ask(start(t, { providerOptions }));
        assert.equal(got.reasoningText, said.reasoning.join(''));
        assert.equal(got.text, said.text.join(''));
      }
    },
    async error(t) {
      const e = await plain(start(t)).then(() => assert.fail('it was not refused'), (e) => e);
      assert.ok(APICallError.isInstance(e), `${e}`);
      assert.equal(e.statusCode, 429);
    },
    async broken(t) {
      const e = await streamed(start(t)).then(() => assert.fail('it ended as if it were whole'), (e) => e);
      assert.match(`${e?.message ?? JSON.stringify(e)}`, new RegExp(said.overloaded));
    },
    async abort(t) {
      const left = new AbortController();
      for await (const text of streamText({ ...start(t), abortSignal: left.signal }).textStream) if (text) left.abort();
    },
  };
};

export default [
  row('ai 7.x openai', 'openai responses', (t) => createOpenAI({ apiKey: t.key, baseURL: `${t.url}/v1` })(t.model)), // responses
  row('ai 7.x anthropic', 'anthropic', (t) => createAnthropic({ apiKey: t.key, baseURL: `${t.url}/v1` })(t.model)),
  row('ai 7.x bedrock', 'bedrock converse', (t) => createAmazonBedrock({ apiKey: t.key, baseURL: t.url, region: 'eu-west-1' })(t.model, { modelFamily: 'anthropic' })),
  row('ai 7.x google', 'gemini', (t) => createGoogleGenerativeAI({ apiKey: t.key, baseURL: `${t.url}/v1beta` })(t.model)),
];
