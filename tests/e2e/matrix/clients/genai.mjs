// Google's own SDK: 2.x calls paths below /v1beta, 3.x below /v1.
import assert from 'node:assert/strict';
import * as v2 from 'google-genai-2';
import * as v3 from 'google-genai-3';
import { picture, report, said, weather } from '../kit.mjs';

function checkUsage(u, usage) {
  assert.equal(u.promptTokenCount, usage.fresh + usage.cached);
  assert.equal(u.cachedContentTokenCount ?? 0, usage.cached);
  assert.equal(u.candidatesTokenCount + (u.thoughtsTokenCount ?? 0), usage.output);
  assert.equal(u.totalTokenCount, usage.fresh + usage.cached + usage.output);
}

const partsOf = (got) => got.candidates?.[0]?.content?.parts ?? [];
const spoken = (parts) => parts.filter((p) => !p.thought).map((p) => p.text ?? '').join('');
const thought = (parts) => parts.filter((p) => p.thought).map((p) => p.text ?? '').join('');

const row = (name, { GoogleGenAI, FunctionCallingConfigMode }) => {
  const models = (t) => new GoogleGenAI({ apiKey: t.key, httpOptions: { baseUrl: t.url } }).models;
  const start = (t, config = {}) => ({
    model: t.model,
    contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
    config: { systemInstruction: said.system, ...config },
  });

  // One shape for both ways to ask.
  const plain = async (t, request) => {
    const got = await models(t).generateContent(request);
    return { parts: partsOf(got), finish: got.candidates[0].finishReason, usage: got.usageMetadata };
  };
  const streamed = async (t, request) => {
    const all = { parts: [], pieces: [] };
    for await (const chunk of await models(t).generateContentStream(request)) {
      all.parts.push(...partsOf(chunk));
      if (chunk.text) all.pieces.push(chunk.text);
      all.finish = chunk.candidates?.[0]?.finishReason ?? all.finish;
      all.usage = chunk.usageMetadata ?? all.usage;
    }
    return all;
  };

  async function useTools(t, wanted, ask) {
    const tools = [{ functionDeclarations: [{ name: weather.name, description: weather.description, parametersJsonSchema: weather.schema }] }];
    const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } };
    const request = start(t, { tools, toolConfig });
    const first = await ask(t, request);
    assert.equal(first.finish, 'STOP');
    const parts = first.parts.filter((p) => p.functionCall);
    assert.deepEqual(parts.map((p) => p.functionCall.args), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    const results = parts.map((p, i) => ({
      functionResponse: { id: p.functionCall.id, name: p.functionCall.name, response: { output: said.results[i] } },
    }));
    const contents = [...request.contents, { role: 'model', parts }, { role: 'user', parts: results }];
    const last = await ask(t, { ...request, contents });
    assert.equal(spoken(last.parts), said.answer.join(''));
    assert.equal(last.finish, 'STOP');
  }

  return {
    name,
    dialect: 'gemini',
    async text(t) {
      const got = await plain(t, start(t));
      assert.equal(spoken(got.parts), said.text.join(''));
      assert.equal(got.finish, 'STOP');
      checkUsage(got.usage, t.usage);
    },
    async stream(t) {
      const got = await streamed(t, start(t));
      assert.deepEqual(got.pieces, said.text);
      assert.equal(got.finish, 'STOP');
      checkUsage(got.usage, t.usage);
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
      const request = start(t);
      request.contents[0].parts.unshift({ inlineData: { mimeType: 'image/png', data: picture } });
      assert.equal(spoken((await plain(t, request)).parts), said.text.join(''));
    },
    async schema(t) {
      const request = start(t, { responseMimeType: 'application/json', responseJsonSchema: report.schema });
      for (const ask of [plain, streamed])
        assert.deepEqual(JSON.parse(spoken((await ask(t, request)).parts)), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const request = start(t, { maxOutputTokens: 8192, thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } });
      for (const ask of [plain, streamed]) {
        const got = await ask(t, request);
        assert.equal(thought(got.parts), said.reasoning.join(''));
        assert.equal(spoken(got.parts), said.text.join(''));
        assert.equal(got.usage.totalTokenCount, t.usage.fresh + t.usage.cached + t.usage.output);
      }
    },
    async error(t) {
      const e = await plain(t, start(t)).then(() => assert.fail('it was not refused'), (e) => e);
      assert.equal(e.name, 'ApiError', `${e}`);
      assert.equal(e.status, 429);
      assert.equal(JSON.parse(e.message).error.status, 'RESOURCE_EXHAUSTED');
    },
    async broken(t) {
      let text = '', finish;
      const read = async () => {
        for await (const chunk of await models(t).generateContentStream(start(t))) {
          text += chunk.text ?? '';
          finish = chunk.candidates?.[0]?.finishReason ?? finish;
        }
      };
      const e = await read().then(() => assert.fail('it ended as if it were whole'), (e) => e);
      assert.match(e.message, new RegExp(said.overloaded));
      assert.equal(finish, undefined);
      assert.equal(text, said.text[0]);
    },
    async abort(t) {
      const left = new AbortController();
      const request = start(t, { abortSignal: left.signal });
      const read = async () => {
        for await (const chunk of await models(t).generateContentStream(request)) if (chunk.text) left.abort();
      };
      await read().then(() => assert.fail('it ended'), (e) => assert.match(`${e.name} ${e.message}`, /[aA]bort/));
    },
  };
};

export default [row('@google/genai 2.x', v2), row('@google/genai 3.x', v3)];
