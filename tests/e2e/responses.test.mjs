// What OpenAI keeps, used by the official clients as they are by default: chained by an id, referred to item by item,
// asked for later, and its maker's alone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText } from 'ai';
import OpenAI from 'openai';
import { Gateway, named, run } from '../kit/node/gateway.mjs';
import { upstream as listen } from '../kit/node/upstream.mjs';
import { said } from './matrix/kit.mjs';
import { default as upstreams } from './matrix/upstreams/openai.mjs';

const gateway = new Gateway();
const openai = upstreams.find((u) => u.name === 'openai');
let mock, alice, bob;

before(async () => {
  mock = await listen(gateway.port(40), openai.answer);
  await gateway.create('providers', {
    name: named('kept'), allow_cidrs: ['127.0.0.0/8'],
    credentials: [{ name: 'main', secret: `sk-kept-${run}` }], ...openai.provider(mock.url),
  });
  await gateway.model('kept-text', '', { targets: [{ provider: named('kept'), model: `${openai.model}-text` }] });
  const models = [named('kept-text')];
  [alice, bob] = await Promise.all([gateway.virtualKey({ models }), gateway.virtualKey({ models })]);
});
after(() => mock.close());

const clientOf = (key) => new OpenAI({ apiKey: key.key, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
const first = { instructions: said.system, input: 'Hello' };

test('a response is chained, read and deleted by its maker alone', async () => {
  const model = named('kept-text');
  const [hers, his] = [clientOf(alice), clientOf(bob)];
  const made = await hers.responses.create({ model, ...first });
  const next = await hers.responses.create({ model, instructions: said.system, input: 'Go on', previous_response_id: made.id });
  assert.equal(next.output_text, said.text.join(''));
  assert.equal(next.previous_response_id, made.id, 'the id is the one that the client knows');
  assert.equal((await hers.responses.retrieve(made.id)).id, made.id);
  const items = await hers.responses.inputItems.list(made.id);
  assert.ok(items.data.length > 0);

  const heard = mock.seen.length;
  const chained = { model, instructions: said.system, input: 'Go on', previous_response_id: made.id };
  await assert.rejects(his.responses.create(chained), (e) => e.status === 400 && e.param === 'previous_response_id');
  for (const ask of [() => his.responses.retrieve(made.id), () => his.responses.delete(made.id), () => his.responses.inputItems.list(made.id)])
    await assert.rejects(ask(), OpenAI.NotFoundError);
  assert.equal(mock.seen.length, heard, 'the upstream was not asked');

  await hers.responses.delete(made.id);
  await assert.rejects(hers.responses.retrieve(made.id), OpenAI.NotFoundError);
});

// By default the AI SDK refers to what was said before by the id of its item.
test('the AI SDK refers to items that are kept', async () => {
  const model = createOpenAI({ apiKey: alice.key, baseURL: `${gateway.url}/v1` })(named('kept-text'));
  const options = { model, instructions: said.system, maxRetries: 0 };
  const messages = [{ role: 'user', content: 'Hello' }];
  const asked = await generateText({ ...options, messages });
  messages.push(...asked.response.messages, { role: 'user', content: 'Go on' });
  const got = await generateText({ ...options, messages });
  assert.equal(got.text, said.text.join(''));
  const sent = JSON.parse(mock.seen.at(-1).body);
  assert.ok(sent.input.some((i) => i.type === 'item_reference' && !i.id.includes('_gh')), 'by the id that the provider knows');
});
