// OpenAI's own SDK, the older completions: a text, and how it goes on. What only a conversation can say is no part of
// them, and is refused by its name whichever provider serves it.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { picture, report, said, weather } from '../kit.mjs';

const client = (t) => new OpenAI({ apiKey: t.key, baseURL: `${t.url}/v1`, maxRetries: 0 });
const ask = (t, more = {}) => client(t).completions.create({ model: t.model, prompt: said.prompt, max_tokens: 4096, ...more });
const tools = [{ type: 'function', function: { name: weather.name, parameters: weather.schema } }];

function checkUsage(u, usage) {
  assert.equal(u.prompt_tokens, usage.fresh + usage.cached);
  assert.equal(u.completion_tokens, usage.output);
  assert.equal(u.total_tokens, usage.fresh + usage.cached + usage.output);
}

async function streamed(t, more = {}) {
  const got = { pieces: [] };
  for await (const chunk of await ask(t, { stream: true, stream_options: { include_usage: true }, ...more })) {
    if (chunk.choices[0]?.text) got.pieces.push(chunk.choices[0].text);
    got.finish = chunk.choices[0]?.finish_reason ?? got.finish;
    got.usage = chunk.usage ?? got.usage;
  }
  return got;
}

const refused = (promise) => promise.then(() => assert.fail('it was not refused'), (e) => e);

export default [
  {
    name: 'openai 7.x completions',
    dialect: 'openai completions',
    cannot: { tools: 'tools', parallel: 'tools', image: 'prompt', schema: 'response_format', reasoning: 'reasoning_effort' },
    async text(t) {
      const got = await ask(t);
      assert.equal(got.choices[0].text, said.text.join(''));
      assert.equal(got.choices[0].finish_reason, 'stop');
      checkUsage(got.usage, t.usage);
    },
    async stream(t) {
      const got = await streamed(t);
      assert.deepEqual(got.pieces, said.text);
      assert.equal(got.finish, 'stop');
      checkUsage(got.usage, t.usage);
    },
    tools: (t) => ask(t, { tools }),
    parallel: (t) => ask(t, { tools, parallel_tool_calls: true }),
    image: (t) => ask(t, { prompt: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } }] }),
    schema: (t) => ask(t, { response_format: { type: 'json_schema', json_schema: { name: report.name, schema: report.schema } } }),
    reasoning: (t) => ask(t, { reasoning_effort: 'medium' }),
    async error(t) {
      const e = await refused(ask(t));
      assert.ok(e instanceof OpenAI.RateLimitError, `${e}`);
      assert.equal(e.headers.get('retry-after'), '1');
    },
    async broken(t) {
      const pieces = [];
      const read = async () => {
        for await (const chunk of await ask(t, { stream: true })) if (chunk.choices[0].text) pieces.push(chunk.choices[0].text);
      };
      assert.match((await refused(read())).message, new RegExp(said.overloaded));
      assert.deepEqual(pieces, said.text.slice(0, 1));
    },
    async abort(t) {
      for await (const chunk of await ask(t, { stream: true })) if (chunk.choices[0].text) return;
    },
  },
];
