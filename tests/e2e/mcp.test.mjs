// The tool gate: the official client against the official test server, through the gateway.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, named, newTrace, run, traceparent, until } from '../kit/node/gateway.mjs';
import { exchange } from '../kit/node/raw.mjs';

const gateway = new Gateway();
const server = named('every').slice(0, 31);
const port = gateway.port(31);
const direct = `http://127.0.0.1:${port}/mcp`;
const gate = `${gateway.url}/mcp/${server}`;
const granted = ['echo', 'get-sum', 'get-structured-content', 'get-tiny-image', 'trigger-long-running-operation'];
const VERSIONS = ['2025-03-26', '2025-06-18', '2025-11-25'];

let everything;
let agent, key, all, stranger;

async function startServer() {
  const program = new URL('node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, 'streamableHttp'], {
    env: { PATH: process.env.PATH, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  await until(
    () =>
      fetch(direct, { method: 'GET' }).then(
        (a) => a.status > 0,
        () => false,
      ),
    20,
    'the test server',
  );
  return child;
}

async function stopServer() {
  const gone = new Promise((resolve) => everything.once('exit', resolve));
  everything.kill('SIGKILL');
  await gone;
}

before(async () => {
  everything = await startServer();
  await gateway.create('tasks', { name: named('triage') });
  await gateway.create('teams', { name: named('tool-team') });
  agent = await gateway.create('agents', { name: named('tool-agent'), team: named('tool-team') });
  const more = await gateway.create('agents', { name: named('tool-all'), team: named('tool-team') });
  const other = await gateway.create('agents', { name: named('tool-other'), team: named('tool-team') });
  await gateway.create('mcp-servers', {
    name: server,
    transport: 'streamable-http',
    url: direct,
    allow_cidrs: ['127.0.0.0/8'],
  });
  await gateway.create('grants', { agent: agent.name, server, tools: granted });
  await gateway.create('grants', { agent: agent.name, task: named('triage'), server, tools: ['get-env'] });
  await gateway.create('grants', { agent: more.name, server, tools: ['*'] });
  await gateway.create('grants', { agent: other.name, server: 'demo-tools', tools: ['echo', 'headers'] });
  key = await gateway.virtualKey({ agent: agent.name, tasks: [named('triage')] });
  all = await gateway.virtualKey({ agent: more.name });
  stranger = await gateway.virtualKey({ agent: other.name });
});

after(() => everything?.kill('SIGKILL'));

// A client of the SDK; `url` without a credential is the server itself.
async function connect({ url = gate, credential = key, headers = {}, capabilities = {}, prepare } = {}) {
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities });
  prepare?.(client);
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { ...(credential && { authorization: `Bearer ${credential.key}` }), ...headers } },
  });
  await client.connect(transport);
  return { client, transport };
}

const post = (body, { url = gate, credential = key, headers = {} } = {}) =>
  fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${credential.key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

const hello = (version = '2025-11-25', id = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
});

async function openRaw(options) {
  const answer = await post(hello(), options);
  assert.equal(answer.status, 200, await answer.clone().text());
  const session = answer.headers.get('mcp-session-id');
  const noted = await post(
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { ...options, headers: { 'mcp-session-id': session } },
  );
  assert.equal(noted.status, 202);
  assert.equal(await noted.text(), '');
  return session;
}

// The messages of an answer, JSON or events, with the ids of the events.
async function* events(answer) {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer.body) {
    rest += decoder.decode(chunk, { stream: true });
    let end;
    while ((end = rest.indexOf('\n\n')) >= 0) {
      const event = { id: undefined, data: '' };
      for (const line of rest.slice(0, end).split('\n')) {
        if (line.startsWith('id: ')) event.id = line.slice(4);
        if (line.startsWith('data: ')) event.data += line.slice(6);
      }
      rest = rest.slice(end + 2);
      yield event;
    }
  }
}

async function response(answer) {
  if (answer.headers.get('content-type') === 'application/json') return answer.text();
  for await (const e of events(answer)) if (/"(result|error)":/.test(e.data)) return e.data;
  throw new Error('no response on the stream');
}

const call = (id, name, args = {}, more = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...more },
});

describe('the official client', () => {
  test('sees the granted tools, each exactly as its server describes it', async () => {
    const through = await connect();
    const straight = await connect({ url: direct, credential: null });
    const offered = (await straight.client.listTools()).tools;
    const seen = (await through.client.listTools()).tools;
    assert.deepEqual(seen.map((t) => t.name).sort(), [...granted].sort());
    assert.equal(through.client.getServerCapabilities().tools.listChanged, true);
    for (const tool of seen) assert.deepEqual(tool, offered.find((t) => t.name === tool.name));
    assert.deepEqual(Object.keys(through.client.getServerCapabilities()).sort(), ['logging', 'tasks', 'tools']);
    assert.deepEqual(through.client.getServerVersion(), straight.client.getServerVersion());
    assert.equal(through.client.getInstructions(), straight.client.getInstructions());
    await through.transport.terminateSession();
    await Promise.all([through.client.close(), straight.client.close()]);
  });

  test('gets the results of the server, whatever they hold', async () => {
    const through = await connect();
    const straight = await connect({ url: direct, credential: null });
    for (const [name, args] of [
      ['echo', { message: 'grüß dich, \u{1F30D}' }],
      ['get-sum', { a: 2, b: 40 }],
      ['get-structured-content', { location: 'Chicago' }],
      ['get-tiny-image', {}],
    ]) {
      const wanted = await straight.client.callTool({ name, arguments: args });
      const got = await through.client.callTool({ name, arguments: args });
      assert.deepEqual(got, wanted, name);
    }
    await Promise.all([through.client.close(), straight.client.close()]);
  });

  test('hears of progress while the tool works', async () => {
    const { client } = await connect();
    const heard = [];
    const began = performance.now();
    const result = await client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 1.2, steps: 4 } },
      undefined,
      { onprogress: (p) => heard.push({ ...p, at: performance.now() - began }) },
    );
    assert.match(result.content[0].text, /completed/);
    // The client drops a handler once the result is there, so the last step may go unheard.
    assert.ok(heard.length >= 3, JSON.stringify(heard));
    assert.deepEqual(
      heard.slice(0, 3).map((p) => [p.progress, p.total]),
      [[1, 4], [2, 4], [3, 4]],
    );
    assert.ok(heard[0].at < 900, `the first progress came after ${heard[0].at} ms`);
    await client.close();
  });

  test('is told the same of a tool that is not granted and of one that does not exist', async () => {
    const { client } = await connect();
    const words = [];
    for (const name of ['get-env', 'no-such', 'ECHO', 'echo ', './echo'])
      await assert.rejects(client.callTool({ name, arguments: {} }), (e) => {
        assert.equal(e.code, -32602);
        words.push(e.message.replaceAll(name, 'NAME'));
        return true;
      });
    assert.equal(new Set(words).size, 1, words.join('\n'));
    await client.close();
  });

  test('may use on a task what is granted for it', async () => {
    const { client } = await connect({ headers: { 'x-gatehouse-task': named('triage') } });
    assert.ok((await client.listTools()).tools.some((t) => t.name === 'get-env'));
    const result = await client.callTool({ name: 'get-env', arguments: {} });
    assert.match(result.content[0].text, /PATH/);
    await client.close();
    const refused = await post(hello(), { headers: { 'x-gatehouse-task': 'another' } });
    assert.equal(refused.status, 403);
    assert.equal((await refused.json()).error.data.code, 'task_not_allowed');
  });

  test('answers what the server asks of it, and only a client that can is asked', async () => {
    const asked = [];
    const able = await connect({
      credential: all,
      capabilities: { sampling: {}, roots: { listChanged: true } },
      prepare: (client) => {
        client.setRequestHandler(CreateMessageRequestSchema, async (request) => {
          asked.push(request.params.messages[0].content.text);
          return { role: 'assistant', model: 'mine', content: { type: 'text', text: 'sampled here' } };
        });
        client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///here', name: 'here' }] }));
      },
    });
    const unable = await connect({ credential: all });
    const tools = async (c) => (await c.client.listTools()).tools.map((t) => t.name);
    await until(async () => (await tools(able)).includes('trigger-sampling-request'), 5, 'the conditional tool');
    assert.equal((await tools(unable)).includes('trigger-sampling-request'), false);
    const result = await able.client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'weather' } });
    assert.equal(asked.length, 1);
    assert.match(asked[0], /weather/);
    assert.match(JSON.stringify(result.content), /sampled here/);
    await Promise.all([able.client.close(), unable.client.close()]);
  });

  test('hears on its event stream what the server says unasked', async () => {
    const changed = [];
    const logged = [];
    const { client } = await connect({
      credential: all,
      capabilities: { sampling: {} },
      prepare: (c) => {
        c.setNotificationHandler(ToolListChangedNotificationSchema, (n) => void changed.push(n));
        c.setNotificationHandler(LoggingMessageNotificationSchema, (n) => void logged.push(n));
      },
    });
    await client.setLoggingLevel('debug');
    await client.callTool({ name: 'toggle-simulated-logging', arguments: {} });
    await until(() => logged.length > 0, 15, 'a log message');
    await client.close();
  });

  test('pings the gateway, and is told that other methods are unknown', async () => {
    const { client } = await connect();
    assert.deepEqual(await client.ping(), {});
    const session = await openRaw();
    for (const method of ['resources/list', 'prompts/list', 'completion/complete', 'nonsense']) {
      const answer = await post({ jsonrpc: '2.0', id: 5, method }, { headers: { 'mcp-session-id': session } });
      assert.equal(answer.status, 200);
      assert.equal((await answer.json()).error.code, -32601, method);
    }
    await client.close();
  });
});

describe('a session', () => {
  for (const version of VERSIONS)
    test(`is opened in ${version} and ended by its client`, async () => {
      const opened = await post(hello(version));
      assert.equal(opened.headers.get('content-type'), 'application/json');
      const text = await opened.text();
      assert.equal(JSON.parse(text).result.protocolVersion, version);
      const session = opened.headers.get('mcp-session-id');
      assert.match(session, /^[A-Za-z0-9_-]{32,512}$/);
      const headers = { 'mcp-session-id': session, 'mcp-protocol-version': version };
      const listed = await post({ jsonrpc: '2.0', id: 'x', method: 'tools/list' }, { headers });
      assert.equal(listed.status, 200);
      assert.equal(JSON.parse(await response(listed)).id, 'x');
      const end = () => fetch(gate, { method: 'DELETE', headers: { authorization: `Bearer ${key.key}`, ...headers } });
      assert.equal((await end()).status, 204);
      assert.equal((await end()).status, 404);
      assert.equal((await post({ jsonrpc: '2.0', id: 'y', method: 'tools/list' }, { headers })).status, 404);
    });

  test('of a revision we do not serve is opened in the newest we do', async () => {
    const opened = await post(hello('1999-01-01'));
    assert.equal((await opened.json()).result.protocolVersion, '2025-11-25');
  });

  test('is unknown to another principal and on another path', async () => {
    const session = await openRaw();
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    const headers = { 'mcp-session-id': session };
    const other = await gateway.virtualKey({ agent: agent.name });
    const words = new Set();
    const turns = [
      [gate, other, headers],
      [`${gateway.url}/mcp/demo-tools`, stranger, headers],
      [gate, key, { 'mcp-session-id': `${session.slice(0, -2)}AA` }],
      [gate, key, { 'mcp-session-id': 'nonsense' }],
    ];
    for (const [url, credential, sent] of turns) {
      const answer = await post(list, { url, credential, headers: sent });
      assert.equal(answer.status, 404, url);
      words.add(await answer.text());
    }
    assert.equal(words.size, 1);
    assert.equal((await post(list, { headers })).status, 200);
  });

  test('goes on at every plane behind a balancer', { skip: gateway.urls.length < 2 && 'one plane' }, async () => {
    const through = (n) => `${gateway.urls[n % gateway.urls.length]}/mcp/${server}`;
    const session = await openRaw();
    const headers = { 'mcp-session-id': session };
    for (let n = 0; n < 6; n++) {
      const answer = await post(call(`n${n}`, 'get-sum', { a: n, b: 1 }), { url: through(n), headers });
      assert.equal(answer.status, 200);
      const message = JSON.parse(await response(answer));
      assert.equal(message.id, `n${n}`);
      assert.match(message.result.content[0].text, new RegExp(` ${n + 1}\\.`));
    }
    const other = await gateway.virtualKey({ agent: agent.name });
    const foreign = await post(call(1, 'echo', { message: 'm' }), { url: through(1), credential: other, headers });
    assert.equal(foreign.status, 404);
  });

  test('of the official client goes on at every plane behind a balancer', async () => {
    let n = 0;
    const balanced = (url, init) => {
      const at = new URL(url);
      at.port = new URL(gateway.urls[n++ % gateway.urls.length]).port;
      return fetch(at, init);
    };
    const client = new Client({ name: 'balanced', version: '1' }, { capabilities: { sampling: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, async () => ({
      role: 'assistant',
      model: 'mine',
      content: { type: 'text', text: 'sampled anywhere' },
    }));
    const transport = new StreamableHTTPClientTransport(new URL(gate), {
      fetch: balanced,
      requestInit: { headers: { authorization: `Bearer ${all.key}` } },
    });
    await client.connect(transport);
    await until(
      async () => (await client.listTools()).tools.some((t) => t.name === 'trigger-sampling-request'),
      5,
      'the conditional tool',
    );
    for (let i = 0; i < 4; i++) {
      const result = await client.callTool({ name: 'get-sum', arguments: { a: i, b: 2 } });
      assert.match(result.content[0].text, new RegExp(` ${i + 2}\\.`));
    }
    const sampled = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'weather' } });
    assert.match(JSON.stringify(sampled.content), /sampled anywhere/);
    await client.close();
  });

  test('lives on when a limit refuses a call in it', async () => {
    const narrow = await gateway.virtualKey({ agent: agent.name, limits: { rpm: 6 } });
    const { client } = await connect({ credential: narrow });
    let refused;
    for (let i = 0; i < 12 && !refused; i++)
      await client.callTool({ name: 'echo', arguments: { message: 'm' } }).catch((e) => (refused = e));
    assert.equal(refused.code, -32000);
    assert.equal(refused.data.code, 'rate_limit_exceeded');
    assert.ok(refused.data.retry_after >= 1);
    await sleep(refused.data.retry_after * 1000);
    const later = await client.callTool({ name: 'echo', arguments: { message: 'later' } });
    assert.match(later.content[0].text, /later/);
    await client.close();
  });

  test('ends a call that its client cancels, and frees its slot', async () => {
    const narrow = await gateway.virtualKey({ agent: agent.name, limits: { parallel: 1 } });
    const { client } = await connect({ credential: narrow });
    const stop = new AbortController();
    const slow = client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 20, steps: 20 } },
      undefined,
      { signal: stop.signal },
    );
    await sleep(300);
    stop.abort('enough');
    await assert.rejects(slow);
    await until(
      () => client.callTool({ name: 'echo', arguments: { message: 'free' } }).then(() => true, () => false),
      2,
      'the slot',
    );
    await client.close();
  });

  test('hears of a grant that changes', async () => {
    const changing = await gateway.create('agents', { name: named('tool-changing'), team: named('tool-team') });
    const grant = await gateway.create('grants', { agent: changing.name, server, tools: ['echo'] });
    const credential = await gateway.virtualKey({ agent: changing.name });
    const heard = [];
    const { client } = await connect({
      credential,
      prepare: (c) => c.setNotificationHandler(ToolListChangedNotificationSchema, (n) => void heard.push(n)),
    });
    await sleep(300); // its event stream is open
    const before = heard.length;
    await gateway.create('grants', { agent: changing.name, server, tools: ['get-sum'] });
    await until(() => heard.length > before, 5, 'the notification');
    assert.deepEqual((await client.listTools()).tools.map((t) => t.name).sort(), ['echo', 'get-sum']);
    assert.ok(grant.id);
    await client.close();
  });

  test('works on every worker of its plane', async () => {
    const session = await openRaw();
    const headers = { 'mcp-session-id': session, connection: 'close' };
    const answers = await Promise.all(
      Array.from({ length: 32 }, async (_, i) => {
        const answer = await post(call(`c${i}`, 'get-sum', { a: i, b: 1 }), { headers });
        assert.equal(answer.status, 200);
        return JSON.parse(await response(answer));
      }),
    );
    answers.forEach((a, i) => {
      assert.equal(a.id, `c${i}`);
      assert.match(a.result.content[0].text, new RegExp(` ${i + 1}\\.`));
    });
  });

  test('gives back an id as it was written, and refuses one that is under way', async () => {
    const session = await openRaw();
    const headers = { 'mcp-session-id': session };
    for (const id of ['9007199254740993', '"\\u0061"', '-1', '"9007199254740993"']) {
      const answer = await post(
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"message":"m"}}}`,
        { headers },
      );
      assert.ok((await response(answer)).includes(`"id":${id}`), id);
    }
    const slow = post(call('twice', 'trigger-long-running-operation', { duration: 1, steps: 1 }), { headers });
    await sleep(200);
    const second = await post(call('twice', 'echo', { message: 'm' }), { headers });
    assert.equal(second.status, 400);
    assert.equal((await second.json()).error.code, -32600);
    assert.match(await response(await slow), /completed/);
  });

  test('goes on where a stream was lost, as often as it is asked to', async () => {
    const session = await openRaw();
    const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
    const cut = new AbortController();
    const answer = await fetch(gate, {
      method: 'POST',
      signal: cut.signal,
      headers: {
        authorization: `Bearer ${key.key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: JSON.stringify(
        call('lost', 'trigger-long-running-operation', { duration: 1.5, steps: 3 }, { _meta: { progressToken: 'p' } }),
      ),
    });
    let last;
    for await (const e of events(answer)) {
      last = e.id;
      if (e.data.includes('"progress":1')) break;
    }
    assert.ok(last);
    cut.abort();
    await sleep(2000); // the test server replays what it has stored, and adds nothing to it later
    for (let time = 0; time < 2; time++) {
      const resumed = await fetch(gate, {
        headers: { authorization: `Bearer ${key.key}`, accept: 'text/event-stream', 'last-event-id': last, ...headers },
      });
      assert.equal(resumed.status, 200);
      const heard = [];
      for await (const e of events(resumed)) {
        if (e.data) heard.push(JSON.parse(e.data));
        if (e.data.includes('"result"')) break;
      }
      assert.equal(heard.at(-1).id, 'lost');
      assert.match(heard.at(-1).result.content[0].text, /completed/);
      assert.ok(heard.some((m) => m.params?.progress === 2));
    }
  });

  test('outlives its upstream, and the first call after it is served', async () => {
    const { client } = await connect();
    const raw = await openRaw();
    await client.callTool({ name: 'echo', arguments: { message: 'before' } });
    await stopServer();
    everything = await startServer();
    assert.equal((await client.listTools()).tools.length, granted.length);
    const after = await client.callTool({ name: 'echo', arguments: { message: 'after' } });
    assert.match(after.content[0].text, /after/);
    const headers = { 'mcp-session-id': raw };
    const first = JSON.parse(await response(await post(call(1, 'echo', { message: 'first' }), { headers })));
    assert.match(first.result.content[0].text, /first/);
    const second = JSON.parse(await response(await post(call(2, 'echo', { message: 'again' }), { headers })));
    assert.match(second.result.content[0].text, /again/);
    await client.close();
  });

  test('whose upstream is away is told so, in words a model can read', async () => {
    const session = await openRaw();
    const headers = { 'mcp-session-id': session };
    await stopServer();
    try {
      const called = await post(call(1, 'echo', { message: 'm' }), { headers });
      assert.equal(called.status, 200);
      assert.equal(JSON.parse(await response(called)).result.isError, true);
      const listed = await post({ jsonrpc: '2.0', id: 2, method: 'tools/list' }, { headers });
      assert.equal(listed.status, 200);
      assert.equal((await listed.json()).error.data.code, 'upstream_error');
      const begun = await post(hello());
      assert.equal(begun.status, 502);
      assert.equal((await begun.json()).error.data.code, 'upstream_error');
    } finally {
      everything = await startServer();
    }
  });
});

describe('one call', () => {
  test('without a session is served in one of its own', async () => {
    const answer = await post(call(7, 'get-sum', { a: 1, b: 2 }));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('mcp-session-id'), null);
    const message = JSON.parse(await response(answer));
    assert.equal(message.id, 7);
    assert.match(message.result.content[0].text, /3/);
  });

  test('on /mcp reaches the only server that is granted', async () => {
    const answer = await post(call(1, 'echo', { message: 'm' }), { url: `${gateway.url}/mcp` });
    assert.match(await response(answer), /Echo: m/);
  });

  test('takes none of its own headers along', async () => {
    const answer = await post(call(1, 'headers'), {
      url: `${gateway.url}/mcp/demo-tools`,
      credential: stranger,
      headers: { cookie: 'a=b', 'x-user': 'root', 'x-gatehouse-session': 'kept', 'x-forwarded-for': '10.0.0.1' },
    });
    const names = JSON.parse(await response(answer)).result.content.map((c) => c.text).join(' ').toLowerCase();
    assert.match(names, /traceparent/);
    for (const name of ['cookie', 'x-user', 'x-gatehouse', 'x-forwarded-for', 'authorization'])
      assert.equal(names.includes(name), false, `${name} in ${names}`);
  });

  test('leaves a span that says what was called and how it ended', async () => {
    const seen = async (body, more = {}) => {
      const trace = newTrace();
      const answer = await post(body, { headers: { traceparent: traceparent(trace), 'x-gatehouse-session': `mcp-${run}`, ...more } });
      await answer.text();
      return (await gateway.trace(trace, answer.headers.get('x-gatehouse-session')))[0];
    };
    const ok = await seen(call(1, 'echo', { message: 'm' }));
    assert.equal(ok.gate, 'tool');
    assert.equal(ok.name, 'tools/call echo');
    assert.equal(ok.server, server);
    assert.equal(ok.tool, 'echo');
    assert.equal(ok.status, 'ok');
    const refused = await seen(call(1, 'get-env'));
    assert.equal(refused.status, 'refused');
    assert.equal(refused.code, 'tool_not_found');
    const wrong = await seen(call(1, 'get-sum', { a: 'x' }));
    assert.equal(wrong.status, 'error');
  });

  test('in an MCP session belongs to the session its initialize was in', async () => {
    const opened = await post(hello(), { headers: { 'x-gatehouse-session': `sealed-${run}` } });
    const id = opened.headers.get('x-gatehouse-session');
    const headers = { 'mcp-session-id': opened.headers.get('mcp-session-id') };
    const later = await post(call(1, 'echo', { message: 'm' }), { headers });
    assert.equal(later.headers.get('x-gatehouse-session'), id);
    const moved = await post(call(2, 'echo', { message: 'm' }), {
      headers: { ...headers, 'x-gatehouse-session': `other-${run}` },
    });
    assert.notEqual(moved.headers.get('x-gatehouse-session'), id);
    await Promise.all([later.text(), moved.text()]);
    await until(
      async () => (await gateway.admin('GET', `sessions/sealed-${run}/spans`)).json?.items?.length > 0,
      10,
      'the session',
    );
  });
});

describe('what is wrong', () => {
  const list = { jsonrpc: '2.0', id: 3, method: 'tools/list' };
  const wrong = [
    ['no credential', list, { authorization: '' }, 401, -32000],
    ['an unknown key', list, { authorization: 'Bearer gh-x' }, 401, -32000],
    ['a foreign origin', list, { origin: 'https://evil.example' }, 403, -32000],
    ['an origin of nothing', list, { origin: 'null' }, 403, -32000],
    ['another content type', list, { 'content-type': 'text/plain' }, 415, -32000],
    ['an Accept of something else', list, { accept: 'text/plain' }, 406, -32000],
    ['a revision of no time', list, { 'mcp-protocol-version': '1999-01-01' }, 400, -32600],
    ['no session', { jsonrpc: '2.0', id: 3, method: 'logging/setLevel', params: { level: 'info' } }, {}, 400, -32600],
    ['a batch', [list], {}, 400, -32600],
    ['no JSON', '{', {}, 400, -32700],
    ['a doubled member', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', {}, 400, -32700],
    ['a doubled name', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"get-env"}}', {}, 400, -32700],
    ['no version', { id: 1, method: 'ping' }, {}, 400, -32600],
    ['an id of nothing', { jsonrpc: '2.0', id: null, method: 'ping' }, {}, 400, -32600],
    ['a name that is none', call(1, 5), {}, 200, -32602],
  ];
  for (const [name, body, headers, status, code] of wrong)
    test(`${name} is ${status}`, async () => {
      const answer = await post(body, { headers });
      const text = await answer.text();
      assert.equal(answer.status, status, text);
      assert.equal(answer.headers.get('content-type'), 'application/json');
      assert.equal(JSON.parse(text).error.code, code, text);
      if (status === 401) assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
    });

  test('a page of this machine may ask', async () => {
    const answer = await post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { headers: { origin: 'http://127.0.0.1:6274' } });
    assert.equal(answer.status, 200);
  });

  test('a body above the ceiling is 413', async () => {
    const { host } = new URL(gate);
    const answer = await exchange(gateway.url, [
      `POST /mcp/${server} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${key.key}\r\n` +
        `content-type: application/json\r\ncontent-length: ${5 * 1024 * 1024}\r\n\r\n`,
    ]);
    assert.equal(answer.status, 413);
    assert.equal(JSON.parse(answer.body).error.data.code, 'request_too_large');
  });

  test('a name that leads here from elsewhere is 403', async () => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
    const answer = await exchange(gateway.url, [
      `POST /mcp/${server} HTTP/1.1\r\nhost: rebound.example\r\nauthorization: Bearer ${key.key}\r\n` +
        `content-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ]);
    assert.equal(answer.status, 403);
    assert.equal(JSON.parse(answer.body).error.data.code, 'origin_not_allowed');
  });

  test('a server without a grant is unknown, whether it is there or not', async () => {
    for (const name of [server, 'no-such-server']) {
      const answer = await post(hello(), { url: `${gateway.url}/mcp/${name}`, credential: stranger });
      assert.equal(answer.status, 404);
      assert.equal((await answer.json()).error.data.code, 'server_not_found');
    }
  });

  test('another method is 405', async () => {
    const answer = await fetch(gate, { method: 'PUT', headers: { authorization: `Bearer ${key.key}` } });
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get('allow'), 'GET, POST, DELETE');
  });
});
