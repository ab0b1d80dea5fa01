// The OpenAPI document against what the API answers: every GET there is, after calls through all
// gates, and what a POST shows once.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Gateway, named, run, until } from '../kit/node/gateway.mjs';
import { assertFits } from '../kit/node/schema.mjs';

const gateway = new Gateway();
const label = `document-${run}`;
let document, made;

const post = (path, body, more = {}) =>
  fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${made.key.key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-gatehouse-session': label,
      ...more,
    },
    body: JSON.stringify(body),
  }).then((answer) => answer.text());

// One of each kind, with all that it may have.
before(async () => {
  document = await gateway.get('openapi.json');
  await gateway.provider();
  await gateway.model('told', '', { price: { input_per_mtok: 2, output_per_mtok: 10 } });
  await gateway.create('teams', { name: named('told-team'), budget: { limit_usd: 5, period: 'day' } });
  await gateway.create('tasks', { name: named('told-task') });
  const agent = await gateway.create('agents', { name: named('told-agent'), team: named('told-team'), tasks: [named('told-task')] });
  await gateway.create('users', { name: named('told-user'), email: 'a@example.org', team: named('told-team') });
  await gateway.create('grants', { agent: agent.name, models: [named('told')] });
  await gateway.create('grants', { agent: agent.name, server: 'demo-tools', tools: ['echo'] });
  await gateway.create('grants', { agent: agent.name, service: 'demo-api', routes: [{ methods: ['GET'], path: '/customers/*' }] });
  await gateway.create('blocks', { session: 's_of_nobody', reason: 'a document needs one' });
  await gateway.create('aliases', { name: named('told-alias'), model: named('told'), team: named('told-team') });
  await gateway.create('faults', { name: named('told-fault'), scope: { agent: agent.name }, provider: named('prov'), fault: { latency_ms: 1 }, until: new Date(Date.now() + 1000).toISOString() });
  const key = await gateway.virtualKey({ agent: agent.name, models: undefined, budget: { limit_usd: 5 }, limits: { rpm: 60 }, tasks: [named('told-task')], expires_at: '2099-01-01T00:00:00Z' });
  made = { agent, key };
  await post('/v1/chat/completions', { model: named('told'), messages: [{ role: 'user', content: 'Hello' }] }, { 'x-gatehouse-task': named('told-task') });
  await post('/v1/chat/completions', { model: 'nobody-knows-it', messages: [] });
  await post('/mcp/demo-tools', { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { message: 'Hi' } } });
  await fetch(`${gateway.url}/api/demo-api/customers/1`, { headers: { authorization: `Bearer ${key.key}`, 'x-gatehouse-session': label } });
  await until(
    async () => ((await gateway.admin('GET', `sessions/${label}/spans`)).json?.items ?? []).filter((s) => s.kind === 'call').length >= 4,
    10,
    'four calls in the session',
  );
});

const schemaOf = (path, method, status) => document.paths[path][method].responses[status].content['application/json'].schema;

async function assertAnswer(path, real, query = '') {
  const answer = await gateway.admin('GET', `${real}${query}`);
  assert.equal(answer.status, 200, answer.text);
  assertFits(document, schemaOf(path, 'get', '200'), answer.json, `GET ${real}${query} `);
  return answer.json;
}

test('every answer to a GET is what the document says, and no schema is empty', async () => {
  const seen = new Set();
  for (const [path, operations] of Object.entries(document.paths)) {
    if (!('get' in operations) || !path.startsWith('/admin/v1/') || path.endsWith('/openapi.json')) continue;
    const schema = schemaOf(path, 'get', '200');
    assert.ok('$ref' in schema || 'properties' in schema, path);
    const plural = path.split('/')[3];
    let real = path.replace('/admin/v1/', '');
    if (path.includes('{id}')) {
      const first = plural === 'sessions' ? label : (await gateway.get(`${plural}?limit=1`)).items[0]?.id;
      if (first === undefined) continue;
      real = real.replace('{id}', first);
    }
    const answer = await assertAnswer(path, real);
    if (answer.items?.length > 0 || path.includes('{id}')) seen.add(plural);
  }
  for (const plural of ['sessions', 'spans', 'spend', 'budgets', 'audit', 'teams', 'users', 'agents', 'tasks', 'keys',
    'providers', 'models', 'mcp-servers', 'api-services', 'grants', 'blocks', 'aliases', 'faults', 'pools', 'dataplanes', 'orgs'])
    assert.ok(seen.has(plural), `${plural}: nothing was compared`);
});

test('spend has its shape by whatever it is grouped', async () => {
  const groups = document.paths['/admin/v1/spend'].get.parameters.find((p) => p.name === 'group_by').schema.enum;
  for (const group of groups) {
    const { items } = await assertAnswer('/admin/v1/spend', 'spend', `?group_by=${group}`);
    assert.ok(items.length > 0, group);
    for (const row of items) assert.ok(group in row, group);
  }
});

test('a parameter with words takes these and no others', async () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    if (path.includes('{id}')) continue;
    for (const parameter of operations.get?.parameters ?? []) {
      if (!parameter.schema.enum) continue;
      const real = path.replace('/admin/v1/', '');
      for (const word of parameter.schema.enum) await assertAnswer(path, real, `?${parameter.name}=${word}`);
      const refused = await gateway.admin('GET', `${real}?${parameter.name}=bogus`);
      assert.equal(refused.status, 400, refused.text);
      for (const word of parameter.schema.enum) assert.ok(refused.json.detail.includes(word), refused.text);
    }
  }
});

test('what is shown once is in the document', async () => {
  assertFits(document, schemaOf('/admin/v1/keys', 'post', '201'), made.key, 'POST keys ');
  assert.match(made.key.key, /^gh-/);
  const plane = await gateway.create('dataplanes', { name: `doc-${run}` });
  assertFits(document, schemaOf('/admin/v1/dataplanes', 'post', '201'), plane, 'POST dataplanes ');
  assert.match(plane.enrolment_token, /^ghe-/);
  assert.equal((await gateway.admin('DELETE', `dataplanes/${plane.id}`)).status, 204);
});

test('a problem is what the document says', async () => {
  const refused = await gateway.admin('POST', 'teams', { name: 5, whatever: 1 });
  assert.equal(refused.status, 422);
  const schema = document.paths['/admin/v1/teams'].post.responses.default.content['application/problem+json'].schema;
  assertFits(document, schema, refused.json, 'POST teams ');
  assert.deepEqual(refused.json.errors.map((e) => e.pointer).sort(), ['/name', '/whatever']);
});
