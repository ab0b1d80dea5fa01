// One session over the three gates, and what the admin API tells of it.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Gateway, named, nano, run, until } from '../kit/node/gateway.mjs';

const gateway = new Gateway();
const label = `day-${run}`;
let agent, key;

const headers = (more = {}) => ({
  authorization: `Bearer ${key.key}`,
  'content-type': 'application/json',
  'x-gatehouse-session': label,
  ...more,
});

const chat = (more) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: headers(more),
    body: JSON.stringify({ model: named('daily'), messages: [{ role: 'user', content: 'Hello' }] }),
  });

const tool = (more) =>
  fetch(`${gateway.url}/mcp/demo-tools`, {
    method: 'POST',
    headers: headers({ accept: 'application/json, text/event-stream', ...more }),
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { message: 'Hi' } } }),
  });

const api = (more) => fetch(`${gateway.url}/api/demo-api/customers/1`, { headers: headers(more) });

let ids;

before(async () => {
  await gateway.provider();
  await gateway.model('daily', '', { price: { input_per_mtok: 2, output_per_mtok: 10 } });
  await gateway.create('teams', { name: named('day-team') });
  agent = await gateway.create('agents', { name: named('day-agent'), team: named('day-team') });
  await gateway.create('grants', { team: named('day-team'), models: [named('daily')] });
  await gateway.create('grants', { agent: agent.name, server: 'demo-tools', tools: ['echo'] });
  await gateway.create('grants', { agent: agent.name, service: 'demo-api', routes: [{ methods: ['GET'], path: '/customers/*' }] });
  key = await gateway.virtualKey({ agent: agent.name, models: undefined });
  const answers = [await chat(), await tool(), await api()];
  ids = answers.map((a) => a.headers.get('x-gatehouse-session'));
  for (const answer of answers) {
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
  }
});

const spansOf = (id) =>
  until(
    async () => {
      const answer = await gateway.admin('GET', `sessions/${id}/spans`);
      const calls = (answer.json?.items ?? []).filter((s) => s.kind === 'call');
      return calls.length >= 3 && answer.json;
    },
    10,
    `three calls in session ${id}`,
  );

describe('the three gates', () => {
  test('give one session id', () => {
    assert.match(ids[0], /^s_[0-9A-Za-z]{22}$/);
    assert.deepEqual(new Set(ids).size, 1);
  });

  test('leave their spans in it, found by the label and by the id', async () => {
    for (const id of [label, ids[0]]) {
      const { items, next } = await spansOf(id);
      assert.equal(next, null);
      const calls = items.filter((s) => s.kind === 'call');
      assert.deepEqual(calls.map((s) => s.gate).sort(), ['ai', 'api', 'tool']);
      for (const span of items) {
        assert.equal(span.session, ids[0]);
        assert.equal(span.agent, agent.name);
        assert.equal(span.key, key.public_part);
        assert.equal(span.status, 'ok');
        assert.match(span.started_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
        assert.ok(span.duration_us > 0);
      }
      const started = items.map((s) => s.started_at);
      assert.deepEqual(started, [...started].sort(), 'oldest first');
    }
  });

  test('say of each call what it was', async () => {
    const { items } = await spansOf(label);
    const of = (gate) => items.find((s) => s.kind === 'call' && s.gate === gate);
    const ai = of('ai');
    assert.equal(ai.model, named('daily'));
    assert.equal(ai.provider, named('prov'));
    assert.deepEqual(ai.tokens, { input: 9, output: 12 });
    assert.equal(ai.cost_usd, '0.000138000');
    assert.equal(ai.usage_source, 'provider');
    assert.equal(ai.http_status, 200);
    assert.equal(of('tool').server, 'demo-tools');
    assert.equal(of('tool').tool, 'echo');
    assert.equal(of('tool').cost_usd, undefined);
    assert.equal(of('api').service, 'demo-api');
    assert.equal(of('api').method, 'GET');
    assert.equal(of('api').path, '/customers/1');
  });
});

describe('sessions', () => {
  test('add up', async () => {
    await spansOf(label);
    const session = await gateway.get(`sessions/${label}`);
    assert.equal(session.id, ids[0]);
    assert.equal(session.external_id, label);
    assert.equal(session.agent, agent.name);
    assert.equal(session.team, named('day-team'));
    assert.deepEqual(session.calls, { model: 1, tool: 1, api: 1 });
    assert.equal(session.tokens.input, 9);
    assert.equal(session.tokens.output, 12);
    assert.equal(session.cost_usd, '0.000138000');
    assert.equal(session.refusals, 0);
    assert.equal(session.ended_at, null);
  });

  test('count what was refused', async () => {
    const refused = await fetch(`${gateway.url}/api/demo-api/customers/1`, { method: 'DELETE', headers: headers({ 'x-gatehouse-session': `no-${run}` }) });
    assert.equal(refused.status, 403);
    const session = await until(async () => (await gateway.admin('GET', `sessions/no-${run}`)).json?.id && gateway.get(`sessions/no-${run}`), 10, 'the session');
    assert.equal(session.refusals, 1);
  });

  test('are listed by agent and by time', async () => {
    await spansOf(label);
    const mine = await gateway.get(`sessions?agent=${agent.name}`);
    assert.ok(mine.items.some((s) => s.id === ids[0]));
    assert.ok(mine.items.every((s) => s.agent === agent.name));
    assert.deepEqual((await gateway.get(`sessions?agent=${agent.name}&since=2100-01-01T00:00:00Z`)).items, []);
    assert.deepEqual((await gateway.get(`sessions?agent=${agent.name}&until=2000-01-01T00:00:00Z`)).items, []);
    assert.equal((await gateway.admin('GET', 'sessions?since=yesterday')).status, 400);
    assert.equal((await gateway.admin('GET', 'sessions/no-such-session')).status, 404);
  });

  test('that two principals call alike are told apart by who they are', async () => {
    const same = `same-${run}`;
    const keys = [await gateway.virtualKey(), await gateway.virtualKey()];
    for (const one of keys) {
      const answer = await fetch(`${gateway.url}/v1/models`, {
        headers: { authorization: `Bearer ${one.key}`, 'x-gatehouse-session': same },
      });
      assert.equal(answer.status, 200);
    }
    const refused = await until(
      async () => {
        const answer = await gateway.admin('GET', `sessions/${same}`);
        return answer.status === 409 && answer.json;
      },
      10,
      'two sessions of one name',
    );
    assert.equal(refused.code, 'ambiguous_session');
    assert.deepEqual(refused.candidates.map((c) => c.key).sort(), keys.map((k) => k.public_part).sort());
    for (const { id, key: owner } of refused.candidates) {
      const session = await gateway.get(`sessions/${id}`);
      assert.equal(session.external_id, same);
      assert.equal(session.key, owner);
    }
    assert.equal((await gateway.admin('GET', `sessions/${same}/spans`)).status, 409);
  });

  test('come in pages that hold each of them once', async () => {
    for (let i = 0; i < 5; i++) assert.equal((await chat({ 'x-gatehouse-session': `page-${i}-${run}` })).status, 200);
    const mine = () => gateway.get(`sessions?agent=${agent.name}&limit=100`).then((page) => page.items.map((s) => s.id));
    const whole = await until(async () => { const ids = await mine(); return ids.length >= 6 && ids; }, 10, 'six sessions');
    const seen = [];
    let cursor = '';
    do {
      const page = await gateway.get(`sessions?agent=${agent.name}&limit=2${cursor}`);
      assert.ok(page.items.length <= 2);
      seen.push(...page.items.map((s) => s.id));
      cursor = page.next && `&cursor=${encodeURIComponent(page.next)}`;
    } while (cursor);
    assert.equal(new Set(seen).size, seen.length);
    assert.deepEqual(seen.filter((id) => whole.includes(id)), whole);
  });
});

describe('spend', () => {
  const row = async (by, name) =>
    until(async () => (await gateway.get(`spend?group_by=${by}`)).items.find((r) => r[by] === name), 10, `spend by ${by}`);

  test('is the same sum from every side', async () => {
    await gateway.shipped();
    const mine = await row('key', key.public_part);
    const sides = [await row('agent', agent.name), await row('team', named('day-team')), await row('model', named('daily'))];
    assert.ok(nano(mine.cost_usd) >= 138_000n);
    for (const side of sides) {
      assert.equal(side.cost_usd, mine.cost_usd);
      assert.equal(side.tokens.input, mine.tokens.input);
    }
    const session = (await gateway.get(`spend?group_by=session`)).items.find((r) => r.id === ids[0] || r.session === ids[0]);
    assert.equal(session.cost_usd, '0.000138000');
  });

  test('knows its groups and its bounds', async () => {
    assert.equal((await gateway.admin('GET', 'spend?group_by=weather')).status, 400);
    const none = await gateway.get('spend?group_by=key&from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z');
    assert.deepEqual(none.items, []);
  });
});
