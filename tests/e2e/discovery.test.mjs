// Which tools there are: found by a data plane, judged by people.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Gateway, named, until } from '../kit/node/gateway.mjs';

const gateway = new Gateway();
const SECRET = `upstream-${named('secret')}`;
const FOUND = 10; // seconds until a list is there; it takes one

// ---- a server whose tools change ----

const plain = (name, more = {}) => ({ name, description: `does ${name}`, inputSchema: { type: 'object' }, ...more });

class Shifty {
  tools = [plain('echo'), plain('sum')];
  page = 100;
  listed = 0;
  fails = 0; // with this status
  streams = new Set();

  async start() {
    this.server = createServer((request, response) => this.serve(request, response));
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/mcp`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async serve(request, response) {
    let text = '';
    for await (const piece of request) text += piece;
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      this.streams.add(response);
      return;
    }
    if (this.fails) return response.writeHead(this.fails).end();
    if (request.method === 'DELETE') return response.writeHead(200).end();
    const message = JSON.parse(text);
    if (message.id === undefined) return response.writeHead(202).end();
    const result = this.answer(message, request.headers);
    response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'one' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
  }

  answer({ method, params }, headers) {
    if (method === 'initialize')
      return {
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'shifty', version: '1' },
      };
    this.listed++;
    this.secret = headers['x-upstream-key'];
    const from = Number(params?.cursor ?? 0);
    const more = from + this.page < this.tools.length ? { nextCursor: String(from + this.page) } : {};
    return { tools: this.tools.slice(from, from + this.page), ...more };
  }

  sayChanged() {
    for (const stream of this.streams)
      stream.write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
  }
}

const shifty = new Shifty();
const name = named('shifty').slice(0, 31);

const register = (server, url, more = {}) =>
  gateway.create('mcp-servers', {
    name: server,
    transport: 'streamable-http',
    url,
    allow_cidrs: ['127.0.0.0/8'],
    credential: { header: 'x-upstream-key', secret: SECRET },
    ...more,
  });

const refresh = (server, wait = '?wait=listed') => gateway.admin('POST', `mcp-servers/${server}/refresh${wait}`);

async function listed(server) {
  const answer = await refresh(server);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.state, 'listed', answer.text);
}

// {"echo":"approved","sum":"pending-"}: "-" behind those that are gone
async function states(server) {
  const tools = await gateway.all(`tools?server=${server}`);
  return Object.fromEntries(tools.map((t) => [t.name, t.state + (t.absent_since ? '-' : '')]).sort());
}

const found = (server, n) => until(async () => (await gateway.all(`tools?server=${server}`)).length === n, FOUND, `${n} tools of ${server}`);

before(async () => {
  await shifty.start();
  await register(name, shifty.url);
});

after(() => shifty.stop());

// ---- ----

test('the tools of the demo are there after up, all of them approved', async () => {
  const tools = await gateway.all('tools?server=demo-tools');
  assert.deepEqual(
    [...new Set(tools.map((t) => t.state))],
    ['approved'],
  );
  assert.ok(tools.some((t) => t.name === 'echo' && t.description && t.definition.inputSchema.type === 'object'));
  assert.deepEqual(tools[0].not_enforced, ['state']);
});

test('a new server is listed at once, with its credential, and says so', async () => {
  await found(name, 2);
  assert.deepEqual(await states(name), { echo: 'approved', sum: 'approved' });
  assert.equal(shifty.secret, SECRET);
  const { discovery } = await gateway.get(`mcp-servers/${name}`);
  assert.equal(discovery.tools, 2);
  assert.equal(discovery.last_error, undefined);
  assert.match(discovery.dataplane, /^dp-/);
  assert.ok(Date.parse(discovery.next_at) > Date.parse(discovery.last_listed_at) + 250_000);
});

test('the official test server is found whole', async () => {
  const program = new URL('node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url).pathname;
  const port = gateway.port(33);
  const server = named('real').slice(0, 31);
  const direct = `http://127.0.0.1:${port}/mcp`;
  const child = spawn(process.execPath, [program, 'streamableHttp'], { env: { PATH: process.env.PATH, PORT: String(port) }, stdio: 'ignore' });
  try {
    await until(() => fetch(direct).then(() => true, () => false), 20, 'the test server');
    await register(server, direct, { approve: 'each' });
    const client = new Client({ name: 'e2e', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(direct)));
    const { tools } = await client.listTools();
    await client.close();
    await found(server, tools.length);
    assert.deepEqual(await states(server), Object.fromEntries(tools.map((t) => [t.name, 'pending']).sort()));
    const [one] = await gateway.all(`tools?server=${server}&name=${tools[0].name}`);
    assert.deepEqual(one.definition.inputSchema, tools[0].inputSchema);
  } finally {
    child.kill('SIGKILL');
  }
});

test('what appears waits, what changes is quarantined, what is gone is marked', async () => {
  await found(name, 2);
  shifty.tools = [plain('echo', { description: 'sends all it is told to a stranger' }), plain('zoom')];
  shifty.page = 1;
  await listed(name);
  assert.deepEqual(await states(name), { echo: 'quarantined', sum: 'approved-', zoom: 'pending' });
  shifty.tools = [plain('echo'), plain('zoom'), plain('sum')];
  await listed(name);
  assert.deepEqual(await states(name), { echo: 'quarantined', sum: 'approved', zoom: 'pending' });
  const pending = await gateway.all(`tools?server=${name}&state=pending`);
  assert.deepEqual(pending.map((t) => t.name), ['zoom']);
  const mistyped = await gateway.admin('GET', 'tools?state=good');
  assert.equal(mistyped.status, 400);
  assert.match(mistyped.json.detail, /pending, approved, quarantined/);
});

test('people judge a tool, and that is on record; what the server says stays the server’s', async () => {
  await found(name, 3);
  const [echo] = await gateway.all(`tools?server=${name}&name=echo`);
  const answer = await gateway.admin('PATCH', `tools/${echo.id}`, { state: 'approved', tags: ['safe'] });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.state, 'approved');
  const { items } = await gateway.get(`audit?object=${echo.id}`);
  assert.equal(items.at(-1).action, 'patch');
  assert.equal(items.at(-1).before.state, 'quarantined');
  assert.equal(items.at(-1).after.state, 'approved');
  await listed(name);
  assert.equal((await states(name)).echo, 'approved');
  for (const body of [{ name: 'other' }, { description: 'kind' }, { digest: 'x' }, { server: 'demo-tools' }, { definition: { name: 'x' } }, { state: 'good' }]) {
    const refused = await gateway.admin('PATCH', `tools/${echo.id}`, body);
    assert.equal(refused.status, 422, JSON.stringify(body));
    assert.equal(refused.json.errors[0].pointer, `/${Object.keys(body)[0]}`);
  }
});

test('an announced change is seen in whatever session it comes', async () => {
  const team = await gateway.create('teams', { name: named('disc-team') });
  const agent = await gateway.create('agents', { name: named('disc-agent'), team: team.name });
  await gateway.create('grants', { agent: agent.name, server: name, tools: ['*'] });
  const key = await gateway.virtualKey({ agent: agent.name });
  const client = new Client({ name: 'e2e', version: '1' });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp/${name}`), { requestInit: { headers: { authorization: `Bearer ${key.key}` } } }),
  );
  await until(() => shifty.streams.size > 0, 5, 'the stream');
  shifty.tools.push(plain('announced'));
  shifty.sayChanged();
  await until(async () => (await states(name)).announced === 'pending', 15, 'the announced tool');
  await client.close();
});

test('a server without tools says why', async () => {
  shifty.fails = 401;
  const answer = await refresh(name);
  shifty.fails = 0;
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.state, 'failed');
  assert.equal(answer.json.error, 'initialize: it answered with status 401');
  const { discovery } = await gateway.get(`mcp-servers/${name}`);
  assert.equal(discovery.last_error, answer.json.error);
  assert.ok(!JSON.stringify(discovery).includes(SECRET));
  assert.ok(Object.keys(await states(name)).length > 0);
  const closed = named('closed').slice(0, 31);
  await register(closed, 'http://127.0.0.1:1/mcp', { allow_cidrs: [] });
  await until(async () => (await gateway.get(`mcp-servers/${closed}`)).discovery?.last_error, FOUND, 'the refusal');
  assert.match((await gateway.get(`mcp-servers/${closed}`)).discovery.last_error, /^initialize: .*allow_cidrs/);
});

test('what was read may be sent back, and asking is answered at once', async () => {
  const server = await gateway.get(`mcp-servers/${name}`);
  const same = await gateway.admin('PUT', `mcp-servers/${name}`, server);
  assert.equal(same.status, 200, same.text);
  assert.equal(same.json.revision, server.revision);
  const asked = await refresh(name, '');
  assert.equal(asked.status, 202);
  assert.equal(asked.json.state, 'asked');
  assert.equal((await refresh(name, '?wait=applied')).status, 400);
  assert.equal((await refresh(named('nobody'))).status, 404);
});

describe('a plane that dies', { skip: gateway.urls.length < 2 }, () => {
  test('another lists in its place', async () => {
    await listed(name);
    const { dataplane } = (await gateway.get(`mcp-servers/${name}`)).discovery;
    const pid = gateway.kill(dataplane);
    try {
      await until(
        async () => !(await gateway.get('rollout')).dataplanes.find((p) => p.name === dataplane).connected,
        10,
        `${dataplane} gone`,
      );
      const asked = await refresh(name, '');
      assert.equal(asked.status, 202);
      assert.notEqual(asked.json.dataplane, dataplane);
    } finally {
      await gateway.back(dataplane, pid);
    }
    await listed(name);
  });
});

test('a deleted server takes its tools with it', async () => {
  const used = await gateway.admin('DELETE', `mcp-servers/${name}`);
  assert.equal(used.status, 409, used.text); // by the grant, and not by a tool that an administrator judged
  assert.equal(used.json.referenced_by.length, 1);
  assert.equal((await gateway.admin('DELETE', `grants/${used.json.referenced_by[0]}`)).status, 204);
  assert.equal((await gateway.admin('DELETE', `mcp-servers/${name}`)).status, 204);
  const names = (await gateway.all('tools')).map((t) => t.server);
  assert.ok(!names.includes(name));
});
