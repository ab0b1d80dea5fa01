// The API gate: what a grant opens, what it injects, and bodies of any size in either direction.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, named, newTrace, run, traceparent } from '../kit/node/gateway.mjs';
import { exchange, request } from '../kit/node/raw.mjs';

const gateway = new Gateway();
const service = named('crm').slice(0, 31);
let agent, key, stranger;

before(async () => {
  await gateway.create('teams', { name: named('api-team') });
  agent = await gateway.create('agents', { name: named('api-agent'), team: named('api-team') });
  const other = await gateway.create('agents', { name: named('api-other'), team: named('api-team') });
  key = await gateway.virtualKey({ agent: agent.name });
  stranger = await gateway.virtualKey({ agent: other.name });
  await gateway.create('api-services', {
    name: service,
    base_url: gateway.demoApiUrl,
    credential: { header: 'authorization', secret: 'Bearer demo-api-secret' },
    routes: [
      { methods: ['GET', 'POST'], path: '/customers' },
      { methods: ['GET', 'DELETE'], path: '/customers/*' },
      { methods: ['GET', 'POST', 'PUT'], path: '/echo' },
      { methods: ['POST'], path: '/upload' },
      { methods: ['GET'], path: '/download' },
    ],
    allow_cidrs: ['127.0.0.0/8'],
  });
  await gateway.create('grants', {
    agent: agent.name,
    service,
    routes: [
      { methods: ['GET'], path: '/customers/*' },
      { methods: ['GET', 'POST', 'PUT'], path: '/echo' },
      { methods: ['POST'], path: '/upload' },
      { methods: ['GET'], path: '/download' },
      { methods: ['GET'], path: '/beyond' },
    ],
  });
});

const call = (path, more = {}, credential = key) =>
  fetch(`${gateway.url}/api/${service}${path}`, {
    redirect: 'manual',
    ...more,
    headers: { authorization: `Bearer ${credential.key}`, ...more.headers },
  });

async function refused(answer, status, code) {
  const text = await answer.text();
  assert.equal(answer.status, status, text);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const problem = JSON.parse(text);
  assert.equal(problem.status, status);
  assert.equal(problem.code, code);
  return problem;
}

describe('grants', () => {
  test('a granted method and path pass, with their query', async () => {
    const answer = await call('/customers/1');
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { id: '1', name: 'Ada Lovelace', city: 'London' });
    const echo = await (await call('/echo?a=1&b=%2Fx')).json();
    assert.equal(echo.path, '/echo');
    assert.equal(echo.query, 'a=1&b=%2Fx');
  });

  test('HEAD follows GET', async () => {
    assert.equal((await call('/customers/1', { method: 'HEAD' })).status, 200);
  });

  test('another method, another path, and more segments than a star are 403', async () => {
    await refused(await call('/customers/1', { method: 'DELETE' }), 403, 'route_not_allowed');
    await refused(await call('/customers'), 403, 'route_not_allowed');
    await refused(await call('/customers/1/orders'), 403, 'route_not_allowed');
    await refused(await call('/'), 403, 'route_not_allowed');
  });

  test('a grant opens nothing that the service does not offer', async () => {
    await refused(await call('/beyond'), 403, 'route_not_allowed');
  });

  test('a service that is not granted and one that does not exist answer alike', async () => {
    const denied = await refused(await call('/customers/1', {}, stranger), 404, 'service_not_found');
    const answer = await fetch(`${gateway.url}/api/no-such-one/customers/1`, { headers: { authorization: `Bearer ${key.key}` } });
    const unknown = await refused(answer, 404, 'service_not_found');
    assert.equal(denied.detail.replace(service, 'X'), unknown.detail.replace('no-such-one', 'X'));
  });

  test('a path that names no service is nothing', async () => {
    const answer = await fetch(`${gateway.url}/api/`, { headers: { authorization: `Bearer ${key.key}` } });
    await refused(answer, 404, 'not_found');
  });

  test('without a credential, or with an unknown one, nothing passes', async () => {
    await refused(await fetch(`${gateway.url}/api/${service}/echo`), 401, 'missing_credential');
    await refused(await call('/echo', { headers: { authorization: 'Bearer demo-api-secret' } }), 401, 'invalid_api_key');
  });
});

describe('what reaches the service', () => {
  test('the company credential, never the one of the caller', async () => {
    for (const header of ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'x-litellm-api-key', 'x-bf-vk']) {
      const value = header === 'authorization' ? `Bearer ${key.key}` : key.key;
      const answer = await fetch(`${gateway.url}/api/${service}/echo`, { headers: { [header]: value, cookie: 'sid=1' } });
      const { headers } = await answer.json();
      // the demo echoes what it was sent; the gate cuts the injected credential out of the answer
      assert.ok(!JSON.stringify(headers).includes(key.key), `${header} reached the service`);
      assert.equal(headers.cookie, undefined);
    }
  });

  test('bodies and plain headers pass', async () => {
    const echo = await (await call('/echo', { method: 'PUT', body: 'x'.repeat(1000), headers: { 'content-type': 'text/x-own', 'accept-language': 'de' } })).json();
    assert.equal(echo.method, 'PUT');
    assert.equal(echo.bytes, 1000);
    assert.equal(echo.headers['content-type'], 'text/x-own');
  });

  test('no header of the hop, and none with an injected name', async () => {
    const answer = await exchange(gateway.url, [
      request('GET', `/api/${service}/echo`, {
        'x-api-key': key.key,
        authorization: 'Bearer sneaked-in',
        connection: 'keep-alive, x-mine',
        'x-mine': '1',
        te: 'trailers',
        'proxy-authorization': 'Basic eDp5',
        'x-http-method-override': 'DELETE',
        'x-original-url': '/customers',
        'x-rewrite-url': '/customers',
        forwarded: 'for=6.6.6.6',
        'x-forwarded-for': '6.6.6.6',
      }),
    ]);
    assert.equal(answer.status, 200, answer.body);
    const { method, path, headers } = JSON.parse(answer.body);
    assert.equal(method, 'GET');
    assert.equal(path, '/echo');
    for (const name of ['x-mine', 'te', 'proxy-authorization', 'x-http-method-override', 'x-original-url', 'x-rewrite-url', 'x-api-key'])
      assert.equal(headers[name], undefined, name);
    assert.ok(!answer.body.includes('6.6.6.6'));
    assert.ok(!answer.body.includes('sneaked-in'));
  });

  test('the injected credential does not come back with the answer', async () => {
    const text = await (await call('/echo')).text();
    assert.ok(!text.includes('demo-api-secret'));
  });
});

describe('paths that two readers might read differently are 400', () => {
  const hostile = {
    'an encoded slash': 'customers%2f1',
    'an encoded slash in capitals': 'customers%2F1',
    'a dot segment': 'customers/../echo',
    'a single dot': 'customers/./1',
    'an encoded dot segment': 'customers/%2e%2e/echo',
    'a half-encoded dot segment': 'customers/.%2e/echo',
    'dots at the end': 'customers/..',
    'a backslash': 'customers\\1',
    'an encoded backslash': 'customers%5c1',
    'a NUL': 'customers/%001',
    'a semicolon': 'customers;x=1/1',
    'an encoded semicolon': 'customers%3bx/1',
    'an empty segment': 'customers//1',
    'a broken escape': 'customers/%zz',
    'a cut-off escape': 'customers/1%2',
    'an encoded control character': 'customers/%0a',
  };
  for (const [name, tail] of Object.entries(hostile))
    test(name, async () => {
      const answer = await exchange(gateway.url, [
        request('GET', `/api/${service}/${tail}`, { authorization: `Bearer ${key.key}` }),
      ]);
      assert.equal(answer.status, 400, `${answer.status} ${answer.body}`);
    });

  test('also where the path names the service', async () => {
    for (const target of [`/api//${service}/echo`, `/api/./${service}/echo`, `/x/../api/${service}/echo`, `/api%2f${service}/echo`]) {
      const answer = await exchange(gateway.url, [request('GET', target, { authorization: `Bearer ${key.key}` })]);
      assert.equal(answer.status, 400, target);
    }
  });
});

describe('bodies stream', () => {
  test('20 MB up arrive as they left', { timeout: 60000 }, async () => {
    const piece = Buffer.alloc(64 * 1024);
    const pieces = 320;
    const sum = createHash('sha256');
    const answer = await new Promise((resolve, reject) => {
      const req = httpRequest(`${gateway.url}/api/${service}/upload`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key.key}`, 'content-type': 'application/octet-stream' }, // chunked
      });
      req.on('error', reject);
      req.on('response', async (res) => {
        let text = '';
        for await (const part of res) text += part;
        resolve({ status: res.statusCode, text });
      });
      (async () => {
        for (let i = 0; i < pieces; i++) {
          for (let k = 0; k < piece.length; k += 512) piece.writeUInt32LE(i * 7919 + k, k);
          sum.update(piece);
          if (!req.write(Buffer.from(piece))) await new Promise((go) => req.once('drain', go));
        }
        req.end();
      })();
    });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(JSON.parse(answer.text), { bytes: pieces * piece.length, sha256: sum.digest('hex') });
  });

  test('50 MB down to a slow reader are not held in the data plane', { timeout: 60000 }, async () => {
    const bytes = 50 * 1000 * 1000;
    const before = gateway.resident('dp-1');
    let most = before;
    const got = await new Promise((resolve, reject) => {
      httpRequest(`${gateway.url}/api/${service}/download?bytes=${bytes}`, { headers: { authorization: `Bearer ${key.key}` } }, async (res) => {
        try {
          let sum = 0;
          let pauses = 0;
          for await (const part of res) {
            sum += part.length;
            if (sum > pauses * 1_000_000 && pauses < 40) {
              pauses++;
              await sleep(50); // two seconds in all, in which the service could have sent it many times
              most = Math.max(most, gateway.resident('dp-1'));
            }
          }
          resolve({ status: res.statusCode, sum });
        } catch (e) {
          reject(e);
        }
      })
        .on('error', reject)
        .end();
    });
    assert.equal(got.status, 200);
    assert.equal(got.sum, bytes);
    assert.ok(most - before < 8 * 1024 * 1024, `it grew by ${((most - before) / 1048576).toFixed(1)} MB`);
  });
});

test('a call leaves a span with its route, and a refused one its reason', async () => {
  const session = `api-${run}`;
  const passed = newTrace();
  const not = newTrace();
  await call('/customers/2', { headers: { traceparent: traceparent(passed), 'x-gatehouse-session': session } });
  await call('/customers', { method: 'POST', headers: { traceparent: traceparent(not), 'x-gatehouse-session': session } });
  const [span] = await gateway.trace(passed, session);
  assert.equal(span.gate, 'api');
  assert.equal(span.service, service);
  assert.equal(span.method, 'GET');
  assert.equal(span.path, '/customers/2');
  assert.equal(span.status, 'ok');
  assert.equal(span.http_status, 200);
  const [refusal] = await gateway.trace(not, session);
  assert.equal(refusal.status, 'refused');
  assert.equal(refusal.code, 'route_not_allowed');
  assert.equal(refusal.http_status, 403);
});
