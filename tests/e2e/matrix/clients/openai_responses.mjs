// OpenAI's own SDK, responses, in its last two majors, and as the client of Azure OpenAI that it is too.
import assert from 'node:assert/strict';
import OpenAI, { AzureOpenAI } from 'openai';
import OpenAI6 from 'openai-6';
import { picture, report, said, weather } from '../kit.mjs';

const tools = [
  { type: 'function', name: weather.name, description: weather.description, parameters: weather.schema, strict: true },
];

const plain = (client, body) => client.responses.create(body);

// Every event of a stream, which must have the grammar of its kind; and the response it ends with.
async function streamed(client, body) {
  const open = new Map();
  let next = 0, last;
  for await (const e of await client.responses.create({ ...body, stream: true })) {
    assert.equal(e.sequence_number, next++, e.type);
    if (e.type === 'response.output_item.added') open.set(e.output_index, e.item);
    if (e.item_id) assert.equal(open.get(e.output_index)?.id, e.item_id, e.type);
    if (e.type === 'response.output_item.done') {
      assert.equal(open.get(e.output_index).id, e.item.id);
      open.delete(e.output_index);
    }
    last = e;
  }
  assert.equal(open.size, 0, 'items were not ended');
  assert.ok(['response.completed', 'response.incomplete'].includes(last.type), last.type);
  const text = last.response.output.filter((i) => i.type === 'message').flatMap((i) => i.content).map((p) => p.text ?? '').join('');
  return { ...last.response, output_text: text };
}

function checkUsage(u, usage) {
  assert.equal(u.input_tokens, usage.fresh + usage.cached);
  assert.equal(u.input_tokens_details?.cached_tokens ?? 0, usage.cached);
  assert.equal(u.output_tokens, usage.output);
  assert.equal(u.total_tokens, usage.fresh + usage.cached + usage.output);
}

const row = (name, clientOf, { RateLimitError }) => {
  function start(t, more = {}) {
    return { client: clientOf(t), body: { model: t.model, instructions: said.system, input: [{ role: 'user', content: 'Hello' }], store: false, ...more } };
  }

  async function useTools(t, wanted, ask) {
    const { client, body } = start(t, { tools });
    const got = await ask(client, body);
    assert.equal(got.status, 'completed');
    const calls = got.output.filter((i) => i.type === 'function_call');
    assert.deepEqual(calls.map((c) => JSON.parse(c.arguments)), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    const results = calls.map((c, i) => ({ type: 'function_call_output', call_id: c.call_id, output: said.results[i] }));
    const last = await ask(client, { ...body, input: [...body.input, ...got.output, ...results] });
    assert.equal(last.output_text, said.answer.join(''));
  }

  return {
    name,
    dialect: 'openai responses',
    async text(t) {
      const { client, body } = start(t);
      const got = await plain(client, body);
      assert.equal(got.output_text, said.text.join(''));
      assert.equal(got.status, 'completed');
      assert.match(got.id, /^resp_/);
      checkUsage(got.usage, t.usage);
    },
    async stream(t) {
      const { client, body } = start(t);
      const got = await streamed(client, body);
      assert.equal(got.output_text, said.text.join(''));
      checkUsage(got.usage, t.usage);
      const helped = await client.responses.stream(body).finalResponse();
      assert.equal(helped.output_text, said.text.join(''));
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
        { type: 'input_text', text: 'What is it?' },
        { type: 'input_image', image_url: `data:image/png;base64,${picture}`, detail: 'auto' },
      ];
      const { client, body } = start(t, { input: [{ role: 'user', content }] });
      assert.equal((await plain(client, body)).output_text, said.text.join(''));
    },
    async schema(t) {
      const format = { type: 'json_schema', name: report.name, schema: report.schema, strict: true };
      const { client, body } = start(t, { text: { format } });
      for (const ask of [plain, streamed])
        assert.deepEqual(JSON.parse((await ask(client, body)).output_text), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const { client, body } = start(t, {
        reasoning: { effort: 'medium', summary: 'auto' }, include: ['reasoning.encrypted_content'],
      });
      for (const ask of [plain, streamed]) {
        const got = await ask(client, body);
        const item = got.output.find((i) => i.type === 'reasoning');
        assert.equal(item.summary.map((s) => s.text).join(''), said.reasoning.join(''));
        assert.equal(got.output_text, said.text.join(''));
        // what was said goes back with the next turn, and is taken
        const next = await ask(client, { ...body, input: [...body.input, ...got.output, { role: 'user', content: 'Go on' }] });
        assert.equal(next.output_text, said.text.join(''));
      }
    },
    async error(t) {
      const { client, body } = start(t);
      const e = await plain(client, body).then(() => assert.fail('it was not refused'), (e) => e);
      assert.ok(e instanceof RateLimitError, `${e}`);
      assert.equal(e.headers.get('retry-after'), '1');
    },
    async broken(t) {
      const { client, body } = start(t);
      let text = '', ended;
      const read = async () => {
        for await (const e of await client.responses.create({ ...body, stream: true })) {
          if (e.type === 'error') throw new Error(e.message); // OpenAI's own, which 6.x gives to its caller
          if (e.type === 'response.output_text.delta') text += e.delta;
          ended = ended || ['response.completed', 'response.incomplete'].includes(e.type);
        }
      };
      const e = await read().then(() => assert.fail('it ended as if it were whole'), (e) => e);
      assert.match(e.message, new RegExp(said.overloaded));
      assert.equal(text, said.text[0]);
      assert.ok(!ended);
    },
    async abort(t) {
      const { client, body } = start(t);
      for await (const e of await client.responses.create({ ...body, stream: true })) if (e.type === 'response.output_text.delta') return;
    },
  };
};

const openai = (Client) => (t) => new Client({ apiKey: t.key, baseURL: `${t.url}/v1`, maxRetries: 0 });
const azure = (t) => new AzureOpenAI({ apiKey: t.key, endpoint: t.url, apiVersion: '2025-04-01-preview', maxRetries: 0 });

export default [
  row('openai 7.x responses', openai(OpenAI), OpenAI),
  row('openai 6.x responses', openai(OpenAI6), OpenAI6),
  row('openai 7.x responses, Azure', azure, OpenAI),
];
