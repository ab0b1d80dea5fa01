// What OpenAI keeps, used by the official clients as they are by default: chained by an id, referred to item by item,
// asked for later, and its maker's alone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText } from 'ai';
import OpenAI from 'openai';
import { Gateway, named, run, until } from '../kit/node/gateway.mjs';
import { upstream as listen } from '../kit/node/upstream.mjs';
import { said, sendJson } from './matrix/kit.mjs';
import { default as upstreams } from './matrix/upstreams/openai.mjs';

const gateway = new Gateway();
const openai = upstreams.find((u) => u.name === 'openai');
let mock, alice, bob;

// The account's files, as OpenAI has them.
const files = new Map();

function answer(one, res) {
  const [, id] = /^\/v1\/files(?:\/([^/?]+))?/.exec(one.url) ?? [];
  if (!one.url.startsWith('/v1/files')) return openai.answer(one, res);
  if (one.method === 'POST') {
    const [, filename] = /filename="([^"]+)"/.exec(one.body);
    const [, purpose] = /name="purpose"\r\n\r\n(\w+)/.exec(one.body);
    const file = { id: `file-${run}${files.size}`, object: 'file', bytes: 9, created_at: 1790000000 + files.size, filename, purpose, status: 'processed' };
    files.set(file.id, file);
    return sendJson(res, 200, file);
  }
  if (!id) return sendJson(res, 200, { object: 'list', data: [...files.values()], has_more: false });
  const file = files.get(id);
  if (!file) return sendJson(res, 404, { error: { message: `No such File object: ${id}`, type: 'invalid_request_error', param: 'id', code: null } });
  if (one.method === 'DELETE') files.set(id, null);
  sendJson(res, 200, one.method === 'DELETE' ? { id, object: 'file', deleted: true } : file);
}

before(async () => {
  mock = await listen(gateway.port(40), answer);
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

// OpenAI lists what the account has; each client sees its own.
test('files are listed page by page for their maker alone', async () => {
  const [hers, his] = [clientOf(alice), clientOf(bob)];
  const upload = (client, name) =>
    client.files.create({ purpose: 'user_data', file: new File([`what ${name} says`], name, { type: 'text/plain' }) });
  const made = [];
  for (const name of ['one.txt', 'two.txt', 'three.txt']) made.unshift((await upload(hers, name)).id);
  const other = await upload(his, 'other.txt');
  const idsOf = async (client, more = {}) => {
    const ids = [];
    for await (const file of client.files.list(more)) ids.push(file.id);
    return ids;
  };
  await until(async () => (await idsOf(hers)).length === 3 && (await idsOf(his)).length === 1, 20, 'what was uploaded is listed');
  assert.deepEqual(await idsOf(hers, { limit: 2 }), made, 'over two pages, the newest first');
  assert.deepEqual(await idsOf(hers, { order: 'asc', limit: 1 }), made.toReversed());
  assert.deepEqual(await idsOf(his), [other.id]);
  const [first] = (await hers.files.list()).data;
  assert.equal(first.filename, 'three.txt');
  assert.ok(!mock.seen.some((r) => r.method === 'GET' && r.url.split('?')[0].endsWith('/files')), 'the provider is asked for no list');

  await hers.files.delete(made[1]);
  assert.deepEqual(await idsOf(hers), [made[0], made[2]]);
  assert.deepEqual((await hers.batches.list()).data, []);
});
