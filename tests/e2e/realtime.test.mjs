// Realtime sessions with the official client, which speaks `wss` alone: TLS ends in front of the gateway, as at a load
// balancer. The upstream is another implementation of WebSocket than the gateway's.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import OpenAI, { AzureOpenAI } from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { WebSocket, WebSocketServer } from 'ws';
import { Gateway, named, newTrace, run, traceparent, until } from '../kit/node/gateway.mjs';

const gateway = new Gateway();
const voice = named('voice');
const theirs = `ek_${run}${run}${run}`;
let http, sockets, front, folder, alice;
const heads = [];

function answer(socket, event) {
  const say = (e) => socket.send(JSON.stringify(e));
  if (event.type === 'response.create') {
    say({ type: 'response.created', event_id: 'e2', response: { id: 'r' } });
    for (let i = 0; i < 20; i++) say({ type: 'response.output_text.delta', event_id: `d${i}`, delta: `wört ${i} ` });
    say({ type: 'response.output_audio.delta', event_id: 'a', delta: 'A'.repeat(1 << 20) });
    say({ type: 'response.done', event_id: 'e3', response: { id: 'r', usage: { input_tokens: 70, output_tokens: 30, total_tokens: 100 } } });
  } else if (event.type === 'input_audio_buffer.append') {
    say({ type: 'input_audio_buffer.committed', event_id: 'c', item_id: String(event.audio.length) });
  } else if (event.type === 'session.update') {
    say({ type: 'session.updated', event_id: 'u', session: event.session });
  } else if (event.type === 'output_audio_buffer.clear') {
    socket.close(4001, 'over');
  }
}

before(async () => {
  http = createServer(async (req, res) => {
    const body = JSON.parse(Buffer.concat(await req.toArray()));
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ value: theirs, expires_at: 4102444800, session: { ...body.session, client_secret: { value: theirs } } }));
  });
  sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket, req) => {
    heads.push(req);
    socket.send(JSON.stringify({ type: 'session.created', event_id: 'e1', session: { type: 'realtime', audio: { input: { turn_detection: null } } } }));
    socket.on('message', (m) => answer(socket, JSON.parse(m)));
  });
  http.listen(gateway.port(44), '127.0.0.1');
  await once(http, 'listening');
  const provider = named('realtime');
  await gateway.create('providers', {
    name: provider, dialect: 'openai', base_url: `http://127.0.0.1:${gateway.port(44)}/v1`, allow_cidrs: ['127.0.0.0/8'],
    credentials: [{ name: 'main', secret: `sk-realtime-${run}` }],
  });
  await gateway.model('voice', '', { targets: [{ provider, model: 'gpt-realtime' }] });
  alice = await gateway.virtualKey({ models: [voice] });

  folder = mkdtempSync(join(tmpdir(), 'realtime-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  front = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (outside) => {
    const inside = connect(gateway.base, '127.0.0.1');
    outside.pipe(inside).pipe(outside);
    outside.on('error', () => inside.destroy());
    inside.on('error', () => outside.destroy());
  });
  front.ca = readFileSync(cert);
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
});
after(() => {
  front?.close();
  for (const socket of sockets?.clients ?? []) socket.terminate();
  http?.close();
  if (folder) rmSync(folder, { recursive: true });
});

const clientOf = (key) => new OpenAI({ apiKey: key, baseURL: `https://127.0.0.1:${front.address().port}/v1`, maxRetries: 0 });

function open(key, headers = {}) {
  const events = [];
  const session = new OpenAIRealtimeWS({ model: voice, options: { ca: front.ca, headers } }, clientOf(key));
  session.on('event', (e) => events.push(e));
  session.on('error', (e) => events.push({ type: 'error', error: e.error ?? e }));
  return { session, events, sees: (f) => until(() => events.find(f), 10, f.toString()) };
}

test('the official client has a session, and its usage is on the trace', async () => {
  const trace = newTrace();
  const headers = { traceparent: traceparent(trace), 'x-gatehouse-session': `voice-${run}` };
  const { session, events, sees } = open(alice.key, headers);
  await sees((e) => e.type === 'session.created');
  session.send({ type: 'session.update', session: { type: 'realtime', model: voice, instructions: 'kürzer' } });
  assert.equal((await sees((e) => e.type === 'session.updated')).session.model, 'gpt-realtime');
  session.send({ type: 'input_audio_buffer.append', audio: 'B'.repeat(5 << 20) });
  assert.equal((await sees((e) => e.type === 'input_audio_buffer.committed')).item_id, String(5 << 20));
  session.send({ type: 'response.create' });
  await sees((e) => e.type === 'response.done');
  assert.equal(events.filter((e) => e.type === 'response.output_text.delta').length, 20);
  session.send({ type: 'output_audio_buffer.clear' });
  const [code, reason] = await once(session.socket, 'close');
  assert.equal(code, 4001);
  assert.equal(String(reason), 'over');
  assert.equal(heads.at(-1).headers.authorization, `Bearer sk-realtime-${run}`);
  const [call] = await gateway.trace(trace, `voice-${run}`);
  assert.equal(call.tokens.input, 70);
  assert.equal(call.tokens.output, 30);
  assert.equal(call.usage_source, 'provider');
});

test('the official client of Azure has a session at its own path', async () => {
  const endpoint = `https://127.0.0.1:${front.address().port}`;
  const client = new AzureOpenAI({ apiKey: alice.key, endpoint, apiVersion: '2024-10-01-preview', deployment: voice });
  const session = await OpenAIRealtimeWS.azure(client, { options: { ca: front.ca } });
  const events = [];
  session.on('event', (e) => events.push(e.type));
  session.on('error', (e) => events.push(`${e}`));
  await until(() => events.length > 0, 10, 'an event');
  assert.deepEqual(events, ['session.created']);
  assert.equal(heads.at(-1).url, '/v1/realtime?model=gpt-realtime');
  assert.equal(heads.at(-1).headers['api-key'], undefined);
  session.close();
});

test('a client secret is ours, and opens a session at its maker', async () => {
  const made = await fetch(`${gateway.url}/v1/realtime/client_secrets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${alice.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ session: { type: 'realtime', model: voice } }),
  });
  const text = await made.text();
  assert.equal(made.status, 200, text);
  assert.ok(!text.includes(theirs), "the provider's own stays inside");
  const { value } = JSON.parse(text);
  const { session, sees } = open(value);
  await sees((e) => e.type === 'session.created');
  assert.equal(heads.at(-1).headers.authorization, `Bearer ${theirs}`);
  session.close();
});

test('what is not text, or not UTF-8, ends the session with its code', async () => {
  const headers = { authorization: `Bearer ${alice.key}` };
  for (const [bytes, code] of [[[0x82, 0x81, 0, 0, 0, 0, 7], 1003], [[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007]]) {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime?model=${voice}`, { headers });
    await once(socket, 'open');
    socket._socket.write(Buffer.from(bytes));
    assert.equal((await once(socket, 'close'))[0], code);
  }
});

// The product's bar is 100 ms from the reply to the revocation; the machine that runs this may be loaded.
const REVOKED_MS = 2000;

test('a revoked key ends its sessions', async (t) => {
  const took = [];
  for (let i = 0; i < 5; i++) {
    const key = await gateway.virtualKey({ models: [voice] });
    const { session, sees } = open(key.key);
    await sees((e) => e.type === 'session.created');
    const closed = once(session.socket, 'close').then(([code]) => ({ code, at: performance.now() }));
    const revoked = await gateway.admin('POST', `keys/${key.id}/revoke`);
    const from = performance.now();
    assert.equal(revoked.status, 200, revoked.text);
    const { code, at } = await closed;
    assert.equal(code, 1008);
    took.push(Math.max(0, at - from));
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`a session ended ${took[2].toFixed(1)} ms after its key's revocation was done (median of 5), ${took[4].toFixed(1)} ms at most`);
  assert.ok(took[4] < REVOKED_MS, `${took[4]} ms`);
});
