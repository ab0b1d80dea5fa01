// The admin API as its users see it: plain fetch against a running installation.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';

const base = process.env.GATEHOUSE_ADMIN_URL;
const token = process.env.GATEHOUSE_ADMIN_TOKEN;
assert.ok(base && token, 'GATEHOUSE_ADMIN_URL and GATEHOUSE_ADMIN_TOKEN must be set');

// Names of deleted things stay reserved, so each run has its own.
const run = randomBytes(4).toString('hex');
const named = (name) => `${name}-${run}`;

async function call(method, path, body, headers = {}) {
  const sent = { authorization: `Bearer ${token}`, ...headers };
  if (body !== undefined && !('content-type' in sent)) sent['content-type'] = 'application/json';
  for (const name of Object.keys(sent)) if (sent[name] === null) delete sent[name];
  const answer = await fetch(base + path, {
    method,
    headers: sent,
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // not every answer is JSON
  }
  return { status: answer.status, headers: answer.headers, text, json };
}

async function create(plural, body) {
  const answer = await call('POST', `/admin/v1/${plural}`, body);
  assert.equal(answer.status, 201, `${plural}: ${answer.text}`);
  return answer.json;
}

function assertProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(answer.json.status, status);
  assert.equal(typeof answer.json.title, 'string');
  assert.equal(typeof answer.json.detail, 'string');
  if (code) assert.equal(answer.json.code, code);
}

const pointers = (answer) => answer.json.errors.map((e) => e.pointer);

// What product.md shows as the first calls of a new user.
const provider = await create('providers', {
  name: named('prov'),
  dialect: 'openai',
  base_url: 'http://127.0.0.1:9000/v1',
  allow_cidrs: ['127.0.0.0/8'],
  credentials: [{ name: 'main', secret: `sk-secret-${run}`, rpm: 600, tpm: 200000, weight: 1, region: 'eu' }],
});
const model = await create('models', {
  name: named('gpt-4o-mini'),
  strategy: 'fallback',
  targets: [{ provider: named('prov'), model: 'gpt-4o-mini' }],
  price: { input_per_mtok: 0.15, output_per_mtok: 0.6, cache_read_per_mtok: '0.075' },
});
const team = await create('teams', { name: named('research'), budget: { limit_usd: 200, period: 'month' } });
const task = await create('tasks', { name: named('triage') });
const agent = await create('agents', { name: named('triage-bot'), team: named('research') });
const key = await create('keys', {
  name: 'triage-bot key',
  agent: named('triage-bot'),
  models: [named('gpt-4o-mini')],
  budget: { limit_usd: 5, period: 'day' },
  limits: { rpm: 60, tpm: 100000, parallel: 4 },
  tasks: [named('triage')],
  expires_at: '2027-01-01T01:00:00+01:00',
});
const server = await create('mcp-servers', {
  name: named('every'),
  transport: 'streamable-http',
  url: 'http://127.0.0.1:3001/mcp',
});
const service = await create('api-services', {
  name: named('crm'),
  base_url: 'http://127.0.0.1:9100',
  credential: { header: 'authorization', secret: `Bearer secret-${run}` },
  routes: [{ methods: ['GET'], path: '/customers/*' }],
});
const toolGrant = await create('grants', {
  agent: named('triage-bot'),
  task: named('triage'),
  server: named('every'),
  tools: ['echo', 'get-sum'],
});
const routeGrant = await create('grants', {
  agent: agent.id,
  service: service.id,
  routes: [{ methods: ['GET'], path: '/customers/*' }],
});

test('a resource carries id, name, times and revision, and shows references by name and id', () => {
  for (const one of [provider, model, team, task, agent, key, server, service, toolGrant, routeGrant]) {
    assert.match(one.id, /^[a-z]+_[0-9A-Za-z]{22}$/);
    assert.equal(typeof one.name, 'string');
    assert.equal(one.revision, 1);
    assert.match(one.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(one.created_at, one.updated_at);
  }
  assert.equal(agent.team, named('research'));
  assert.equal(agent.team_id, team.id);
  assert.deepEqual(key.tasks, [named('triage')]);
  assert.equal(routeGrant.service, service.name);
});

test('money has nine decimals, times are UTC, absent stays absent', () => {
  assert.equal(team.budget.limit_usd, '200.000000000');
  assert.equal(key.budget.limit_usd, '5.000000000');
  assert.equal(key.expires_at, '2027-01-01T00:00:00.000000Z');
  assert.equal('budget' in agent, false);
  assert.equal(model.price.input_per_mtok, '0.15');
});

test('what is stored and not enforced yet is said', () => {
  assert.deepEqual(key.not_enforced, ['limits.tpm']);
  assert.equal('not_enforced' in provider, false);
  assert.equal('not_enforced' in task, false);
});

test('an agent without a team belongs to the default team', async () => {
  const one = await create('agents', { name: named('lonely') });
  assert.equal(one.team, 'default');
});

test('a key is shown once and has the published shape', async () => {
  assert.match(key.key, /^gh-[a-z0-9]{12}-[A-Za-z0-9]{49}$/);
  assert.equal(key.key.slice(3, 15), key.public_part);
  const again = await call('GET', `/admin/v1/keys/${key.id}`);
  assert.equal(again.status, 200);
  assert.equal('key' in again.json, false);
  assert.equal('digest' in again.json, false);
});

test('secrets never come back, neither from reads nor lists nor audit', async () => {
  const digest = createHash('sha256').update(key.key).digest('hex');
  const pages = ['providers', 'api-services', 'mcp-servers', 'keys'].map((p) => `/admin/v1/${p}?limit=1000`);
  pages.push(`/admin/v1/providers/${provider.id}`, `/admin/v1/api-services/${service.id}`);
  pages.push(`/admin/v1/audit?object=${provider.id}`, `/admin/v1/audit?object=${service.id}`);
  pages.push(`/admin/v1/audit?object=${key.id}`);
  for (const page of pages) {
    const answer = await call('GET', page);
    assert.equal(answer.status, 200, answer.text);
    for (const secret of [`sk-secret-${run}`, `Bearer secret-${run}`, key.key, digest])
      assert.equal(answer.text.includes(secret), false, `${page} shows a secret`);
  }
  assert.equal(provider.credentials[0].secret_set, true);
  assert.equal(service.credential.secret_set, true);
});

test('a changed host clears the secret, a changed path does not', async () => {
  const one = await create('api-services', {
    name: named('moving'),
    base_url: 'https://a.example',
    credential: { secret: 'x' },
    routes: [{ methods: ['GET'], path: '/**' }],
  });
  const path = await call('PATCH', `/admin/v1/api-services/${one.id}`, { base_url: 'https://a.example/v2' });
  assert.equal(path.json.credential.secret_set, true);
  const host = await call('PATCH', `/admin/v1/api-services/${one.id}`, { base_url: 'https://b.example/v2' });
  assert.equal(host.json.credential.secret_set, false);
  const both = await call('PATCH', `/admin/v1/api-services/${one.id}`, {
    base_url: 'https://c.example',
    credential: { secret: 'y' },
  });
  assert.equal(both.json.credential.secret_set, true);
});

test('a credential keeps id and secret while its name stays, and goes when it is left out', async () => {
  const path = `/admin/v1/providers/${provider.id}`;
  const kept = await call('PATCH', path, {
    credentials: [{ name: 'main', rpm: 10 }, { name: 'second', secret: 'sk-2' }],
  });
  assert.equal(kept.status, 200, kept.text);
  assert.equal(kept.json.credentials[0].id, provider.credentials[0].id);
  assert.equal(kept.json.credentials[0].secret_set, true);
  const bare = await call('PATCH', path, { credentials: [{ name: 'third' }] });
  assertProblem(bare, 422);
  assert.deepEqual(pointers(bare), ['/credentials/0/secret']);
  const twice = await call('PATCH', path, {
    credentials: [{ name: 'a', secret: 'x' }, { name: 'a', secret: 'y' }],
  });
  assert.deepEqual(pointers(twice), ['/credentials/1/name']);
  const one = await call('PATCH', path, { credentials: [{ name: 'main' }] });
  assert.equal(one.json.credentials.length, 1);
  assert.equal(one.json.credentials[0].secret_set, true);
});

test('unknown fields are named, all of them, at any depth', async () => {
  const answer = await call('POST', '/admin/v1/keys', {
    name: 'x',
    colour: 'red',
    budget: { limit_usd: 1, cap: 2 },
    'a/b~c': 1,
  });
  assertProblem(answer, 422, 'invalid_document');
  assert.deepEqual(pointers(answer).sort(), ['/a~1b~0c', '/budget/cap', '/colour']);
  for (const e of answer.json.errors) assert.equal(e.detail, 'unknown field');
});

// noun, document that is right but for one value, that value's pointer
const wrongTypes = [
  ['teams', { name: 5 }, '/name'],
  ['teams', { name: null }, '/name'],
  ['teams', {}, '/name'],
  ['teams', { name: '' }, '/name'],
  ['teams', { name: ' padded' }, '/name'],
  ['teams', { name: 'x'.repeat(129) }, '/name'],
  ['teams', { name: 'line\nbreak' }, '/name'],
  ['teams', { name: 'n', models: 'gpt' }, '/models'],
  ['teams', { name: 'n', models: [1] }, '/models/0'],
  ['teams', { name: 'n', models: ['a*b'] }, '/models/0'],
  ['teams', { name: 'n', models: ['a', 'a'] }, '/models/1'],
  ['teams', { name: 'n', budget: 5 }, '/budget'],
  ['teams', { name: 'n', budget: {} }, '/budget/limit_usd'],
  ['teams', { name: 'n', budget: { limit_usd: -1 } }, '/budget/limit_usd'],
  ['teams', { name: 'n', budget: { limit_usd: '1e3' } }, '/budget/limit_usd'],
  ['teams', { name: 'n', budget: { limit_usd: '0.0000000001' } }, '/budget/limit_usd'],
  ['teams', { name: 'n', budget: { limit_usd: true } }, '/budget/limit_usd'],
  ['teams', { name: 'n', budget: { limit_usd: 1, period: 'decade' } }, '/budget/period'],
  ['teams', { name: 'n', id: 'team_x' }, '/id'],
  ['teams', { name: 'n', revision: 1 }, '/revision'],
  ['agents', { name: 'n', team: 'no-such-team' }, '/team'],
  ['agents', { name: 'n', team: 7 }, '/team'],
  ['agents', { name: 'n', session_from: 'moon' }, '/session_from'],
  ['keys', { name: 'n', limits: { rpm: 0 } }, '/limits/rpm'],
  ['keys', { name: 'n', limits: { rpm: 1.5 } }, '/limits/rpm'],
  ['keys', { name: 'n', limits: { rpm: '60' } }, '/limits/rpm'],
  ['keys', { name: 'n', expires_at: 'tomorrow' }, '/expires_at'],
  ['keys', { name: 'n', expires_at: 1700000000 }, '/expires_at'],
  ['keys', { name: 'n', revoked: true }, '/revoked'],
  ['keys', { name: 'n', digest: 'abc', digest_kind: 'sha256' }, '/digest'],
  ['keys', { name: 'n', digest: 'a'.repeat(64) }, '/digest_kind'],
  ['keys', { name: 'n', digest_kind: 'sha256' }, '/digest_kind'],
  ['keys', { name: 'n', tasks: ['no-such-task'] }, '/tasks/0'],
  ['providers', { name: 'n', dialect: 'klingon', base_url: 'https://x.example' }, '/dialect'],
  ['providers', { name: 'n', dialect: 'azure' }, '/base_url'],
  ['providers', { name: 'n', dialect: 'openai', base_url: 'ftp://x.example' }, '/base_url'],
  ['providers', { name: 'n', dialect: 'openai', base_url: 'https://u:p@x.example' }, '/base_url'],
  ['providers', { name: 'n', dialect: 'openai', base_url: 'https://x.example', allow_cidrs: ['10.0.0.0/99'] }, '/allow_cidrs/0'],
  ['providers', { name: 'n', dialect: 'openai', base_url: 'https://x.example', credentials: [{ name: 'a' }] }, '/credentials/0/secret'],
  ['providers', { name: 'n', dialect: 'openai', base_url: 'https://x.example', credentials: [{ name: 'a', secret: 'a\r\nb' }] }, '/credentials/0/secret'],
  ['models', { name: 'n' }, '/targets'],
  ['models', { name: 'n', targets: [] }, '/targets'],
  ['models', { name: 'n', targets: [{ provider: 'nowhere', model: 'm' }] }, '/targets/0/provider'],
  ['models', { name: 'n', targets: [{ provider: named('prov'), model: 'm' }], price: { input_per_mtok: '0.0000001', output_per_mtok: 1 } }, '/price/input_per_mtok'],
  ['models', { name: 'n', targets: [{ provider: named('prov'), model: 'm' }], price: { output_per_mtok: 1 } }, '/price/input_per_mtok'],
  ['models', { name: 'n', targets: [{ provider: named('prov'), model: 'm' }], price: { input_per_mtok: 1 } }, '/price/output_per_mtok'],
  ['mcp-servers', { name: 'Not-A-Slug', transport: 'streamable-http', url: 'https://x.example' }, '/name'],
  ['mcp-servers', { name: 'n', transport: 'streamable-http' }, '/url'],
  ['mcp-servers', { name: 'n', transport: 'stdio', launcher: 'filesystem', parameters: { root: '/srv' } }, '/transport'],
  ['mcp-servers', { name: 'n', transport: 'streamable-http', url: 'https://x.example', credential: { header: 'Host', secret: 'x' } }, '/credential/header'],
  ['api-services', { name: 'n', base_url: 'https://x.example', routes: [{ methods: ['get'], path: '/' }] }, '/routes/0/methods/0'],
  ['api-services', { name: 'n', base_url: 'https://x.example', routes: [{ methods: ['GET'], path: 'customers' }] }, '/routes/0/path'],
  ['api-services', { name: 'n', base_url: 'https://x.example', routes: [{ methods: ['GET'], path: '/a/**/b' }] }, '/routes/0/path'],
  ['api-services', { name: 'n', base_url: 'https://x.example', routes: [{ methods: ['GET'], path: '/a/../b' }] }, '/routes/0/path'],
  ['api-services', { name: 'n', base_url: 'https://x.example' }, '/routes'],
  ['grants', { server: named('every'), tools: ['*'] }, ''],
  ['grants', { agent: named('triage-bot'), team: named('research'), models: ['*'] }, ''],
  ['grants', { agent: named('triage-bot') }, ''],
  ['grants', { agent: named('triage-bot'), server: named('every') }, '/tools'],
  ['grants', { agent: named('triage-bot'), models: ['*'], tools: ['*'] }, '/tools'],
  ['grants', { name: 'n', agent: named('triage-bot'), models: ['*'] }, '/name'],
  ['blocks', {}, ''],
  ['blocks', { session: 'demo' }, '/session'],
  ['dataplanes', { name: 'n', pool: 'no-such-pool' }, '/pool'],
  ['users', { name: 'n', email: 'nobody' }, '/email'],
];

test('a wrong value is refused at its pointer and nothing is stored', async () => {
  for (const [plural, body, pointer] of wrongTypes) {
    const answer = await call('POST', `/admin/v1/${plural}`, body);
    assert.equal(answer.status, 422, `${plural} ${JSON.stringify(body)}: ${answer.text}`);
    assert.deepEqual(pointers(answer), [pointer], `${plural} ${JSON.stringify(body)}: ${answer.text}`);
  }
  const stored = await call('GET', '/admin/v1/teams?name=n');
  assert.deepEqual(stored.json.items, []);
});

test('a second team beside an agent is refused, the same one is not', async () => {
  const other = await call('POST', '/admin/v1/keys', { agent: agent.id, team: 'default' });
  assert.deepEqual(pointers(other), ['/team']);
  const same = await call('POST', '/admin/v1/keys', { agent: agent.id, team: team.id });
  assert.equal(same.status, 201);
});

const notJson = ['', '{', '{"name":"a"} x', '{"name":"a","name":"b"}', '{"name":"a","\\u006eame":"b"}',
  `${'['.repeat(100)}${']'.repeat(100)}`, "{'name':'a'}", '{"name":NaN}'];

test('what is not JSON is a 400', async () => {
  for (const body of notJson) {
    const answer = await call('POST', '/admin/v1/teams', body);
    assertProblem(answer, 400, 'not_json');
  }
});

test('JSON that is no object is a 422 that says so', async () => {
  for (const body of ['[]', '"x"', '5', 'null']) {
    const answer = await call('POST', '/admin/v1/teams', body);
    assertProblem(answer, 422);
    assert.deepEqual(pointers(answer), ['']);
  }
});

test('bodies that are not JSON by name, or encoded, are a 415', async () => {
  const body = JSON.stringify({ name: named('media') });
  assertProblem(await call('POST', '/admin/v1/teams', body, { 'content-type': 'text/plain' }), 415);
  assertProblem(await call('POST', '/admin/v1/teams', body, { 'content-encoding': 'gzip' }), 415);
});

test('a body above the ceiling is a 413', async () => {
  const big = JSON.stringify({ name: named('big'), description: 'x'.repeat(1024 * 1024) });
  assertProblem(await call('POST', '/admin/v1/teams', big), 413);
  assert.equal((await call('GET', `/admin/v1/teams/${named('big')}`)).status, 404);
});

test('unknown paths are a 404, unknown methods a 405 with Allow, before anybody asks who', async () => {
  assertProblem(await call('GET', '/admin/v1/nothing', undefined, { authorization: null }), 404);
  assertProblem(await call('GET', '/admin/v1/teams/'), 404);
  assertProblem(await call('GET', '/admin/v1/teams/no-such-team'), 404, 'not_found');
  const answer = await call('DELETE', '/admin/v1/teams');
  assertProblem(answer, 405);
  assert.deepEqual(answer.headers.get('allow').split(', ').sort(), ['GET', 'HEAD', 'POST']);
  assertProblem(await call('POST', '/admin/v1/orgs', { name: 'x' }), 405);
});

test('a hostile segment is no path of ours', async () => {
  for (const name of ['a%00b', 'a%2Fb', '%2e%2e', '%', '%zz', 'a%0db', '%ff']) {
    const answer = await call('GET', `/admin/v1/teams/${name}`);
    assert.equal(answer.status, 404, name);
  }
});

test('a name with a slash is reached by its encoding', async () => {
  const one = await create('models', {
    name: `vendor/${run}`,
    targets: [{ provider: provider.id, model: 'm' }],
  });
  const answer = await call('GET', `/admin/v1/models/vendor%2F${run}`);
  assert.equal(answer.json.id, one.id);
});

test('without a good token nothing is said', async () => {
  for (const value of [null, 'Bearer ', 'Bearer gha-wrong', 'Basic YTpi', token]) {
    const answer = await call('GET', '/admin/v1/teams', undefined, { authorization: value });
    assertProblem(answer, 401, 'not_signed_in');
    assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
  }
});

test('unknown or doubled parameters are a 400', async () => {
  for (const query of ['x=1', 'limit=0', 'limit=1001', 'limit=ten', 'cursor=zzz', 'limit=1&limit=2', 'wait=applied'])
    assertProblem(await call('GET', `/admin/v1/teams?${query}`), 400);
  assertProblem(await call('POST', '/admin/v1/teams?wait=long', { name: named('w') }), 400);
});

test('ETag is the revision; If-Match guards replace, patch and delete', async () => {
  const made = await call('POST', '/admin/v1/tasks', { name: named('tagged') });
  assert.equal(made.headers.get('etag'), '"1"');
  assert.equal(made.headers.get('location'), `/admin/v1/tasks/${made.json.id}`);
  const path = `/admin/v1/tasks/${made.json.id}`;
  assert.equal((await call('GET', path)).headers.get('etag'), '"1"');
  const changed = await call('PATCH', path, { description: 'a' }, { 'if-match': '"1"' });
  assert.equal(changed.status, 200);
  assert.equal(changed.headers.get('etag'), '"2"');
  for (const [method, body] of [['PATCH', { description: 'b' }], ['PUT', { name: named('tagged') }], ['DELETE', undefined]]) {
    const late = await call(method, path, body, { 'if-match': '"1"' });
    assertProblem(late, 412);
    assert.equal(late.headers.get('etag'), '"2"');
  }
  assertProblem(await call('PATCH', path, { description: 'b' }, { 'if-match': 'W/"2"' }), 412);
  assert.equal((await call('PATCH', path, { description: 'b' }, { 'if-match': '"7", "2"' })).status, 200);
  assert.equal((await call('DELETE', path, undefined, { 'if-match': '*' })).status, 204);
});

test('PATCH merges, null removes, PUT replaces, and the same again makes no version', async () => {
  const one = await create('teams', { name: named('merge'), description: 'd', budget: { limit_usd: 1, period: 'day' } });
  const path = `/admin/v1/teams/${one.id}`;
  const merged = await call('PATCH', path, { budget: { limit_usd: 2 } });
  assert.deepEqual(merged.json.budget, { limit_usd: '2.000000000', period: 'day' });
  assert.equal(merged.json.description, 'd');
  const removed = await call('PATCH', path, { budget: null });
  assert.equal('budget' in removed.json, false);
  const replaced = await call('PUT', path, { name: named('merge') });
  assert.equal('description' in replaced.json, false);
  const same = await call('PUT', path, { name: named('merge') });
  assert.equal(same.json.revision, replaced.json.revision);
  assert.equal(same.headers.get('x-gatehouse-version'), replaced.headers.get('x-gatehouse-version'));
});

test('what was read can be put back as it is; what is ours cannot be changed', async () => {
  for (const [plural, id] of [['agents', agent.id], ['providers', provider.id], ['models', model.id],
    ['keys', key.id], ['grants', toolGrant.id], ['api-services', service.id], ['mcp-servers', server.id]]) {
    const read = await call('GET', `/admin/v1/${plural}/${id}`);
    const back = await call('PUT', `/admin/v1/${plural}/${id}`, read.json);
    assert.equal(back.status, 200, `${plural}: ${back.text}`);
    const { discovery, ...stored } = read.json; // how a server's listing goes is read, and never written
    assert.deepEqual(back.json, stored);
  }
  const answer = await call('PATCH', `/admin/v1/agents/${agent.id}`, { id: 'agent_x', team_id: 'team_x', created_at: 'now' });
  assertProblem(answer, 422);
  assert.deepEqual(pointers(answer).sort(), ['/created_at', '/id', '/team_id']);
});

test('every write has a version above the last one', async () => {
  const one = await call('POST', '/admin/v1/tasks', { name: named('v1') });
  const two = await call('PATCH', `/admin/v1/tasks/${one.json.id}`, { description: 'x' });
  const three = await call('DELETE', `/admin/v1/tasks/${one.json.id}`);
  const versions = [one, two, three].map((a) => Number(a.headers.get('x-gatehouse-version')));
  assert.ok(versions[0] > 0);
  assert.ok(versions[1] > versions[0]);
  assert.ok(versions[2] > versions[1]);
  assert.equal(three.status, 204);
  assert.equal(three.text, '');
});

test('a taken name is a 409, also of something deleted lately', async () => {
  const one = await create('teams', { name: named('taken') });
  assertProblem(await call('POST', '/admin/v1/teams', { name: named('taken') }), 409, 'name_taken');
  assertProblem(await call('PATCH', `/admin/v1/teams/${team.id}`, { name: named('taken') }), 409, 'name_taken');
  assert.equal((await call('DELETE', `/admin/v1/teams/${one.id}`)).status, 204);
  assertProblem(await call('GET', `/admin/v1/teams/${one.id}`), 404);
  assertProblem(await call('DELETE', `/admin/v1/teams/${one.id}`), 404);
  assertProblem(await call('POST', '/admin/v1/teams', { name: named('taken') }), 409, 'name_reserved');
});

test('what others refer to is not deleted, also when they do so from inside a list', async () => {
  const used = await call('DELETE', `/admin/v1/providers/${provider.id}`);
  assertProblem(used, 409, 'referenced');
  assert.ok(used.json.referenced_by.includes(model.id));
  const tasked = await call('DELETE', `/admin/v1/tasks/${task.id}`);
  assertProblem(tasked, 409, 'referenced');
  assert.ok(tasked.json.referenced_by.includes(key.id));
  assert.ok(tasked.json.referenced_by.includes(toolGrant.id));
});

test('the default team and pool stay', async () => {
  for (const path of ['/admin/v1/teams/default', '/admin/v1/pools/default']) {
    assertProblem(await call('DELETE', path), 409);
    assertProblem(await call('PATCH', path, { name: named('renamed') }), 422);
  }
});

test('lists go page by page, each thing once', async () => {
  const made = [];
  for (let i = 0; i < 7; i++) made.push((await create('tasks', { name: named(`page-${i}`) })).id);
  const seen = [];
  let next = null;
  let pages = 0;
  do {
    const cursor = next === null ? '' : `&cursor=${encodeURIComponent(next)}`;
    const page = await call('GET', `/admin/v1/tasks?limit=3${cursor}`);
    assert.equal(page.status, 200, page.text);
    assert.ok(page.json.items.length <= 3);
    seen.push(...page.json.items.map((i) => i.id));
    next = page.json.next;
  } while (next !== null && ++pages < 1000);
  assert.equal(new Set(seen).size, seen.length);
  assert.deepEqual(seen.filter((id) => made.includes(id)), made);
});

test('lists are filtered by name and by reference', async () => {
  const byName = await call('GET', `/admin/v1/agents?name=${named('triage-bot')}`);
  assert.deepEqual(byName.json.items.map((i) => i.id), [agent.id]);
  const byAgent = await call('GET', `/admin/v1/grants?agent=${named('triage-bot')}`);
  assert.deepEqual(byAgent.json.items.map((i) => i.id), [toolGrant.id, routeGrant.id]);
  const none = await call('GET', '/admin/v1/grants?agent=nobody');
  assert.deepEqual(none.json, { items: [], next: null });
});

test('a repeated POST with the same Idempotency-Key does nothing twice', async () => {
  const headers = { 'idempotency-key': randomBytes(8).toString('hex') };
  const body = { name: 'once', agent: agent.id };
  const first = await call('POST', '/admin/v1/keys', body, headers);
  const again = await call('POST', '/admin/v1/keys', body, headers);
  assert.equal(first.status, 201);
  assert.equal(again.status, 201);
  assert.equal(again.text, first.text);
  assert.equal(again.headers.get('idempotent-replay'), 'true');
  for (const name of ['etag', 'location']) assert.equal(again.headers.get(name), first.headers.get(name));
  assert.ok(Number(again.headers.get('x-gatehouse-version')) >= Number(first.headers.get('x-gatehouse-version')));
  const other = await call('POST', '/admin/v1/keys', { ...body, name: 'twice' }, headers);
  assertProblem(other, 422, 'idempotency_key_reused');
  const [a, b] = await Promise.all([0, 1].map(() => call('POST', '/admin/v1/tasks', { name: named('race') },
    { 'idempotency-key': `race-${run}` })));
  assert.equal(a.json.id, b.json.id);
});

test('keys are blocked, unblocked, rotated and revoked for ever', async () => {
  const one = await create('keys', { name: named('cycle'), agent: agent.id });
  const path = `/admin/v1/keys/${one.id}`;
  assert.equal((await call('POST', `${path}/block`)).json.blocked, true);
  assert.equal((await call('POST', `${path}/unblock`)).json.blocked, false);
  const rotated = await call('POST', `${path}/rotate`);
  assert.match(rotated.json.key, /^gh-/);
  assert.notEqual(rotated.json.key, one.key);
  assert.notEqual(rotated.json.public_part, one.public_part);
  const revoked = await call('POST', `${path}/revoke`);
  assert.equal(revoked.json.revoked, true);
  const again = await call('POST', `${path}/revoke`);
  assert.equal(again.json.revision, revoked.json.revision);
  assertProblem(await call('POST', `${path}/rotate`), 409, 'key_revoked');
  assertProblem(await call('PATCH', path, { revoked: false }), 422);
  assert.equal((await call('DELETE', path)).status, 204);
});

test('a foreign digest is imported once', async () => {
  const digest = createHash('sha256').update(`sk-foreign-${run}`).digest('hex');
  const body = { name: named('imported'), digest, digest_kind: 'sha256' };
  const made = await create('keys', body);
  assert.equal('key' in made, false);
  assert.equal(made.digest_kind, 'sha256');
  assert.equal(made.team, 'default');
  const again = { ...body, name: named('imported-again') };
  assertProblem(await call('POST', '/admin/v1/keys', again), 409, 'digest_taken');
  await call('DELETE', `/admin/v1/keys/${made.id}`);
  assertProblem(await call('POST', '/admin/v1/keys', again), 409, 'digest_taken');
});

test('two keys that open do not share a name; beside a revoked one only the id tells them apart', async () => {
  const one = await create('keys', { name: named('twins') });
  assertProblem(await call('POST', '/admin/v1/keys', { name: named('twins') }), 409, 'name_taken');
  assert.equal((await call('POST', `/admin/v1/keys/${one.id}/revoke`)).status, 200);
  const two = await create('keys', { name: named('twins') });
  assertProblem(await call('GET', `/admin/v1/keys/${named('twins')}`), 409, 'ambiguous_name');
  assert.equal((await call('GET', `/admin/v1/keys/${two.id}`)).json.id, two.id);
  const block = await call('POST', '/admin/v1/blocks', { key: named('twins') });
  assert.deepEqual(pointers(block), ['/key']);
  const made = await create('blocks', { key: one.id, reason: 'test' });
  assert.equal(made.key, one.id);
  // a block does not keep alive what it closes
  assert.equal((await call('DELETE', `/admin/v1/keys/${one.id}`)).status, 204);
  assert.equal((await call('DELETE', `/admin/v1/blocks/${made.id}`)).status, 204);
});

test('a data plane is given its enrolment token once, and another on request', async () => {
  const made = await create('dataplanes', { name: named('dp').slice(0, 31), pool: 'default' });
  assert.match(made.enrolment_token, /^ghe-/);
  const read = await call('GET', `/admin/v1/dataplanes/${made.id}`);
  assert.equal('enrolment_token' in read.json, false);
  const another = await call('POST', `/admin/v1/dataplanes/${made.id}/enrolment-token`);
  assert.match(another.json.enrolment_token, /^ghe-/);
  assert.notEqual(another.json.enrolment_token, made.enrolment_token);
  assert.equal((await call('DELETE', `/admin/v1/dataplanes/${made.id}`)).status, 204);
});

test('?wait=applied changes neither status nor body and says who applies it', async () => {
  const answer = await call('POST', '/admin/v1/tasks?wait=applied', { name: named('waited') });
  assert.equal(answer.status, 201);
  assert.equal(answer.json.name, named('waited'));
  assert.match(answer.headers.get('x-gatehouse-applied'), /^(all|behind=.*)$/);
});

// SHA-256 over length-prefixed parts, as store_audit.h says: members sorted, no spaces.
function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  return `{${Object.keys(value).sort().map((k) => `${JSON.stringify(k)}:${canonical(value[k])}`).join(',')}}`;
}

function auditHash(prev, r) {
  const hash = createHash('sha256');
  const text = (v) => Buffer.from(String(v));
  const parts = [prev, text(r.org_id), text(r.seq), text(r.at), text(r.actor), text(r.actor_role),
    text(r.source), text(r.action), text(r.noun), text(r.object_id), text(r.object_name), text(r.version),
    text(r.before === null ? '' : canonical(r.before)), text(r.after === null ? '' : canonical(r.after))];
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(part.length));
    hash.update(length).update(part);
  }
  return hash.digest();
}

test('every write left a record, and the chain can be verified without us', async () => {
  let prev = Buffer.alloc(32);
  let next = null;
  let count = 0;
  const ofKey = [];
  do {
    const cursor = next === null ? '' : `&cursor=${encodeURIComponent(next)}`;
    const page = await call('GET', `/admin/v1/audit?limit=500${cursor}`);
    assert.equal(page.status, 200, page.text);
    for (const record of page.json.items) {
      assert.equal(record.seq, ++count);
      assert.equal(record.prev, prev.toString('hex'));
      prev = auditHash(prev, record);
      assert.equal(record.hash, prev.toString('hex'), `record ${record.seq}`);
      if (record.object_id === team.id) ofKey.push(record);
    }
    next = page.json.next;
  } while (next !== null);
  assert.equal(ofKey[0].action, 'create');
  assert.equal(ofKey[0].actor_role, 'owner');
  assert.equal(ofKey[0].before, null);
  assert.deepEqual(ofKey[0].after, team);
  assert.match(ofKey[0].source, /^(127\.0\.0\.1|::1)$/);
  const ours = await call('GET', '/admin/v1/audit/verify');
  assert.equal(ours.json.intact, true);
  assert.ok(ours.json.records >= count);
});

test('the OpenAPI document and the routes are the same', async () => {
  const document = (await call('GET', '/admin/v1/openapi.json', undefined, { authorization: null })).json;
  assert.equal(document.openapi, '3.1.0');
  const methods = ['get', 'post', 'put', 'patch', 'delete'];
  const ids = new Set();
  for (const [path, operations] of Object.entries(document.paths)) {
    const real = path.replace(/\{[^}]+\}/g, `nothing-${run}`);
    for (const method of methods) {
      const isThere = method in operations;
      // An operation that is there is refused for its caller or document, never as unknown; with
      // no token and no body nothing happens.
      const answer = await call(method.toUpperCase(), real, undefined, { authorization: null });
      if (isThere) {
        assert.equal(ids.has(operations[method].operationId), false, operations[method].operationId);
        ids.add(operations[method].operationId);
        const isPublic = operations[method].security.length === 0;
        assert.notEqual(answer.status, 405, `${method} ${path}`);
        assert.notEqual(answer.json?.code, 'no_such_path', `${method} ${path}`);
        if (!isPublic) assert.ok([401, 429].includes(answer.status), `${method} ${path}: ${answer.status}`);
      } else {
        assertProblem(answer, 405);
        assert.equal(answer.headers.get('allow').toLowerCase().split(', ').includes(method), false);
      }
    }
  }
  for (const match of JSON.stringify(document).matchAll(/#\/components\/schemas\/([a-z-]+)/g))
    assert.ok(match[1] in document.components.schemas, match[1]);
  for (const [plural, made] of [['team', team], ['key', key], ['provider', provider], ['grant', toolGrant]])
    for (const member of Object.keys(made))
      if (member !== 'key')
        assert.ok(member in document.components.schemas[plural].properties, `${plural}.${member}`);
  const summaries = Object.values(document.paths).flatMap((p) => Object.values(p)).map((o) => o.summary);
  assert.ok(summaries.includes('creates an agent') && summaries.includes('creates an mcp-server'));
  assert.ok(summaries.includes('creates an api-service') && summaries.includes('creates a team'));
  assert.deepEqual(Object.keys(document.paths['/metrics'].get.responses['200'].content), ['text/plain']);
  const groups = document.paths['/admin/v1/spend'].get.parameters.find((p) => p.name === 'group_by').schema.enum;
  for (const group of groups) assert.equal((await call('GET', `/admin/v1/spend?group_by=${group}`)).status, 200, group);
  assert.equal(groups.length, 11);
});

test('health, readiness and metrics need no token', async () => {
  assert.equal((await call('GET', '/healthz', undefined, { authorization: null })).status, 200);
  assert.equal((await call('GET', '/readyz', undefined, { authorization: null })).json.status, 'ready');
  const metrics = await call('GET', '/metrics', undefined, { authorization: null });
  assert.match(metrics.text, /^gatehouse_admin_requests_total\{status="2xx"\} \d+$/m);
  const head = await call('HEAD', '/healthz', undefined, { authorization: null });
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
});

// One raw exchange; resolves with everything the server said until it closed or fell silent.
function raw(text) {
  const url = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname);
    let got = '';
    socket.setTimeout(3000, () => socket.destroy());
    socket.on('data', (d) => (got += d));
    socket.on('error', reject);
    socket.on('close', () => resolve(got));
    socket.write(text);
  });
}

const authority = new URL(base).host;
const malformed = [
  `GET /healthz HTTP/1.1\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost: ${authority}\r\nHost: ${authority}\r\n\r\n`,
  `GET /healthz HTTP/7.7\r\nHost: ${authority}\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost : ${authority}\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost: ${authority}\r\nX: a\r\n b\r\n\r\n`,
  `GET /healthz HTTP/1.1\nHost: ${authority}\n\n`,
  `POST /admin/v1/teams HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  `POST /admin/v1/teams HTTP/1.1\r\nHost: ${authority}\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n`,
  `POST /admin/v1/teams HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: +2\r\n\r\n{}`,
  `POST /admin/v1/teams HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
  `GET /health\tz HTTP/1.1\r\nHost: ${authority}\r\n\r\n`,
];

test('a malformed head is refused and the connection closed', { skip: base.startsWith('https') }, async () => {
  for (const text of malformed) {
    const got = await raw(text);
    assert.match(got, /^HTTP\/1\.1 (400|501|505) /, JSON.stringify(text));
  }
});

test('two requests on one connection are two answers', { skip: base.startsWith('https') }, async () => {
  const one = `GET /healthz HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
  const last = `GET /healthz HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
  const got = await raw(one + last);
  assert.equal(got.match(/HTTP\/1\.1 200 /g)?.length, 2, got);
});

test('a chunked body is read like any other', { skip: base.startsWith('https') }, async () => {
  const body = JSON.stringify({ name: named('chunked') });
  const chunks = [body.slice(0, 5), body.slice(5)].map((p) => `${p.length.toString(16)}\r\n${p}\r\n`).join('');
  const got = await raw(`POST /admin/v1/tasks HTTP/1.1\r\nHost: ${authority}\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}0\r\n\r\n`);
  assert.match(got, /^HTTP\/1\.1 201 /);
});

test('many waiters do not starve the others', async () => {
  const waiting = Array.from({ length: 24 }, (_, i) =>
    call('POST', '/admin/v1/tasks?wait=applied', { name: named(`crowd-${i}`) }));
  const began = Date.now();
  for (let i = 0; i < 10; i++) assert.equal((await call('GET', '/admin/v1/teams?limit=1')).status, 200);
  assert.ok(Date.now() - began < 3000);
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 201);
});

async function openConnections() {
  const metrics = await call('GET', '/metrics', undefined, { authorization: null });
  return Number(metrics.text.match(/^gatehouse_admin_connections (\d+)$/m)[1]);
}

test('clients that hang up at any moment leave nothing behind', { skip: base.startsWith('https') }, async () => {
  const url = new URL(base);
  const body = JSON.stringify({ name: 'x', bogus: 1 });
  const whole = `POST /admin/v1/tasks HTTP/1.1\r\nHost: ${authority}\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const before = await openConnections();
  // one for each byte the request can be cut at; every third waits for a moment first
  const cuts = Array.from({ length: whole.length + 1 }, (_, at) => new Promise((resolve) => {
    const socket = connect(Number(url.port), url.hostname, () => {
      socket.write(whole.slice(0, at));
      if (at % 3 === 0) setTimeout(() => socket.resetAndDestroy(), 5);
      else if (at % 3 === 1) socket.destroy();
      else socket.end();
    });
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', resolve);
  }));
  await Promise.all(cuts);
  let left = Infinity;
  for (let i = 0; i < 50 && left > before + 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = await openConnections();
  }
  assert.ok(left <= before + 2, `${left} connections, ${before} before`);
  assert.equal((await call('GET', '/readyz', undefined, { authorization: null })).status, 200);
});

// Last, since it makes this address wait.
test('ten failed sign-ins a minute, then waits that grow; who is signed in goes on', async () => {
  const wrong = { authorization: 'Bearer gha-guess' };
  let refused = null;
  for (let i = 0; i < 60 && refused === null; i++) {
    const answer = await call('GET', '/admin/v1/teams', undefined, wrong);
    if (answer.status === 429) refused = answer;
    else assert.equal(answer.status, 401);
  }
  assertProblem(refused, 429, 'too_many_sign_ins');
  const wait = Number(refused.headers.get('retry-after'));
  assert.ok(wait >= 1);
  assert.equal((await call('GET', '/admin/v1/teams?limit=1')).status, 200);
  await new Promise((resolve) => setTimeout(resolve, wait * 1000 + 100));
  const longer = await call('GET', '/admin/v1/teams', undefined, wrong);
  assertProblem(longer, 429);
  assert.ok(Number(longer.headers.get('retry-after')) >= wait);
});
