// What a data plane's metrics say of what it holds open, seen from outside.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Gateway, named, until } from '../kit/node/gateway.mjs';

const gateway = new Gateway();
let key;

const post = (path, body, more = {}) =>
  fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key.key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...more,
    },
    body: JSON.stringify(body),
  });

const hello = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'e2e', version: '1' } },
};

before(async () => {
  await gateway.provider();
  await gateway.model('counted');
  await gateway.create('teams', { name: named('count-team') });
  const agent = await gateway.create('agents', { name: named('count-agent'), team: named('count-team') });
  await gateway.create('grants', { agent: agent.name, models: [named('counted')] });
  await gateway.create('grants', { agent: agent.name, server: 'demo-tools', tools: ['echo'] });
  key = await gateway.virtualKey({ agent: agent.name, models: undefined });
});

test('a connection to an upstream that is kept after a call is counted as idle', async () => {
  const answer = await post('/v1/chat/completions', { model: named('counted'), messages: [{ role: 'user', content: 'Hello' }] });
  assert.equal(answer.status, 200, await answer.text());
  await until(async () => (await gateway.metric(0, 'gatehouse_upstream_idle_connections')) >= 1, 5, 'an idle connection');
});

test('every MCP session that was opened is counted, also once it has ended', async () => {
  const earlier = await gateway.metric(0, 'gatehouse_mcp_sessions');
  const opened = [];
  for (let i = 0; i < 3; i++) {
    const answer = await post('/mcp/demo-tools', hello);
    assert.equal(answer.status, 200, await answer.text());
    opened.push(answer.headers.get('mcp-session-id'));
  }
  const ended = await fetch(`${gateway.url}/mcp/demo-tools`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${key.key}`, 'mcp-session-id': opened[0] },
  });
  assert.ok(ended.ok, `DELETE: ${ended.status}`);
  assert.equal(await gateway.metric(0, 'gatehouse_mcp_sessions'), earlier + 3);
});
