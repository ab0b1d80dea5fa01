// What the control plane says of routing: which targets a call would be sent to, how a provider's
// endpoints are, and outages that are rehearsed.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Gateway, named } from '../kit/node/gateway.mjs';
import { assertFits } from '../kit/node/schema.mjs';

const gateway = new Gateway();
const chat = { model: 'any', messages: [{ role: 'user', content: 'Hello' }] };
let document;

before(async () => {
  document = await gateway.get('openapi.json');
  await gateway.provider();
  await gateway.create('teams', { name: named('eu-team'), regions: ['eu'] });
  await gateway.model('floor', '', {
    targets: [
      { provider: named('prov'), model: 'demo-small', region: 'us' },
      { provider: named('prov'), model: 'demo-large', region: 'eu' },
    ],
  });
  await gateway.model('upstairs', '', { targets: [{ model: named('floor') }] });
});

const explain = (model, query = '', body = chat) => gateway.admin('POST', `models/${model}/explain${query}`, body);

test('a data plane says which targets a call would be sent to, in order, and which not and why', async () => {
  const all = await explain(named('upstairs'));
  assert.equal(all.status, 200, all.text);
  const schema = document.paths['/admin/v1/models/{name}/explain'].post.responses['200'].content['application/json'].schema;
  assertFits(document, schema, all.json, 'explain ');
  assert.deepEqual(all.json.targets.map((t) => t.model), ['demo-small', 'demo-large']);
  assert.ok(all.json.dataplane.length > 0);
  const european = await explain(named('floor'), `?team=${named('eu-team')}`);
  assert.equal(european.status, 200, european.text);
  assert.deepEqual(european.json.targets.map((t) => t.model), ['demo-large']);
  assert.deepEqual(european.json.excluded.map((t) => t.model), ['demo-small']);
  assert.match(european.json.excluded[0].why, /region/);
});

test('what cannot be explained says why', async () => {
  assert.equal((await explain('nobody-knows-it')).status, 404);
  assert.equal((await explain(named('floor'), '?team=nobody-knows-it')).status, 404);
  assert.equal((await explain(named('floor'), '?dataplane=nobody-knows-it')).status, 503);
  assert.equal((await explain(named('floor'), '?path=/v1/nowhere')).status, 422);
});

test("a provider's health shows each of its credentials", async () => {
  const answer = await gateway.admin('GET', `providers/${named('prov')}/health`);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.endpoints.length, 1);
  assert.equal(answer.json.endpoints[0].provider, named('prov'));
  assert.match(answer.json.endpoints[0].state, /^(closed|open|half_open)$/);
});

test('a fault is written, shown and ends by its deletion', async () => {
  const until = new Date(Date.now() + 3600000).toISOString();
  const fault = { name: named('drill'), scope: { team: named('eu-team') }, provider: named('prov'), share: 0.2, fault: { status: 503 }, until };
  const made = await gateway.create('faults', fault);
  assert.equal(made.scope.team, named('eu-team'));
  assert.equal(made.share, 0.2);
  assert.equal((await gateway.admin('POST', 'faults', { ...fault, name: named('drill-2'), scope: {} })).status, 422);
  assert.equal((await gateway.admin('DELETE', `faults/${made.id}`)).status, 204);
});
