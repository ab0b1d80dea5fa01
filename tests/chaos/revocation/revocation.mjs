// How soon a revoked key is refused, and what 100,000 keys cost a data plane. Prints its figures.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { named, until } from '../../kit/node/gateway.mjs';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { Load, chatRequest, percentile } from '../../kit/node/load.mjs';
import { scenario, scenarios } from '../../kit/node/scenarios.mjs';

const PLANES = 3;
const REVOCATIONS = 200;
const RATE = 2000; // requests a second, all planes together
const WITHIN_MS = 100;
const KEYS = 100000;
const READY_MS = 2000;
const RESIDENT = 200 * 1000 * 1000;

// ---- the load: in a thread of its own, so that it does not stand in the way of the stop watch ----

function loadThread({ urls, key, model, counts }) {
  const shared = new Int32Array(counts); // by status; 0: no answer
  const text = chatRequest(key, JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }));
  new Load({
    urls,
    connections: 24,
    rate: RATE,
    make: () => ({ text }),
    on: (call) => Atomics.add(shared, call.status, 1),
  }).start();
}

// ---- one key, asked for again and again ----

const agent = new Agent({ keepAlive: true, maxSockets: 16 });

function ask(url, key) {
  return new Promise((resolve, reject) => {
    request(`${url}/v1/models`, { agent, headers: { authorization: `Bearer ${key}` } }, (res) => {
      const at = performance.now();
      res.resume();
      res.on('end', () => resolve({ status: res.statusCode, at }));
      res.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

// Until the plane refuses the key; then it must go on refusing. Gives the time of the first 401.
async function watch(url, key) {
  const end = performance.now() + 10000;
  for (;;) {
    const { status, at } = await ask(url, key);
    if (status === 401) {
      for (let i = 0; i < 3; i++) assert.equal((await ask(url, key)).status, 401, 'refused once, and then let in');
      return at;
    }
    assert.equal(status, 200);
    assert.ok(performance.now() < end, `${url} still lets a revoked key in after 10 s`);
  }
}

async function revocations(gateway) {
  await gateway.provider();
  await gateway.model('busy', '?chunks=2');
  await gateway.create('teams', { name: named('revoked') });
  await gateway.create('grants', { team: named('revoked'), models: [named('busy')] });
  const busy = await gateway.virtualKey({ team: named('revoked') });
  const keys = [];
  for (let i = 0; i < REVOCATIONS; i += 20)
    keys.push(
      ...(await Promise.all(
        Array.from({ length: 20 }, async (_, n) => {
          const made = await gateway.admin('POST', 'keys', { name: `to be revoked ${i + n}`, team: named('revoked') });
          assert.equal(made.status, 201, made.text);
          return made.json;
        }),
      )),
    );
  await gateway.virtualKey({ team: named('revoked') }); // waits until all of them are everywhere
  const counts = new SharedArrayBuffer(4 * 600);
  const shared = new Int32Array(counts);
  const load = new Worker(new URL(import.meta.url), {
    workerData: { urls: gateway.urls, key: busy.key, model: named('busy'), counts },
    argv: process.argv.slice(2),
  });
  const times = [];
  try {
    await until(() => shared[200] > 2 * RATE, 30, 'the load');
    const before = shared[200];
    const began = performance.now();
    for (const key of keys) {
      for (const url of gateway.urls) assert.equal((await ask(url, key.key)).status, 200);
      const watching = gateway.urls.map((url) => watch(url, key.key));
      const answer = await gateway.admin('POST', `keys/${key.id}/revoke`);
      const revoked = performance.now();
      assert.equal(answer.status, 200, answer.text);
      // before the answer: the plane was quicker than the one who asked for it
      for (const at of await Promise.all(watching)) times.push(Math.max(0, at - revoked));
    }
    const seconds = (performance.now() - began) / 1000;
    const rate = (shared[200] - before) / seconds;
    times.sort((a, b) => a - b);
    const [p50, p99, max] = [50, 99, 100].map((p) => percentile(times, p).toFixed(1));
    console.log(
      `      ${REVOCATIONS} revocations on ${PLANES} planes at ${rate.toFixed(0)} calls/s: ` +
        `refused after p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`,
    );
    const others = [...shared].flatMap((n, status) => (n && status !== 200 ? [`${n} × ${status}`] : []));
    assert.deepEqual(others, [], 'calls of the load that were not answered 200');
    assert.ok(rate > RATE * 0.5, `the load was only ${rate.toFixed(0)} calls/s`);
    assert.ok(percentile(times, 99) <= WITHIN_MS, `p99 ${p99} ms`);
  } finally {
    await load.terminate();
  }
}

// 100,000 keys take minutes through the API, each with its transaction and audit record. Here they
// go in as the API leaves them, in one statement: rows and links like those of a key it has just
// made, a change in the log for each, one new version. Only their audit records are missing.
async function insertKeys(gateway, template) {
  // the run role may make no table, not even a temporary one: the ids are told anew each time
  const made = `(select 'k_' || substr(md5('id' || n || '${template.id}'), 1, 22) as id, n from generate_series(1, ${KEYS}) n)`;
  await gateway.psql(`
    begin;
    set local gatehouse.org_id = '*';
    update policy_head set version = version + 1, updated_at = clock_timestamp();
    insert into keys (id, org_id, name, spec)
      select m.id, k.org_id, 'key ' || m.n,
             k.spec || jsonb_build_object('digest', encode(sha256((m.id || k.id)::bytea), 'hex'),
                                          'public_part', substr(md5(m.id), 1, 12))
      from ${made} m, keys k where k.id = '${template.id}';
    insert into links (from_id, field, to_id, org_id)
      select m.id, l.field, l.to_id, l.org_id from ${made} m, links l where l.from_id = '${template.id}';
    insert into change_log (version, kind, id, op, org_id)
      select h.version, c.kind, m.id, 'put', c.org_id
      from ${made} m, policy_head h, (select kind, org_id from change_log where id = '${template.id}' limit 1) c;
    commit;`);
  const row = await gateway.psql(
    `begin; set local gatehouse.org_id = '*';
     select count(*), (select version from policy_head) from keys where deleted_at is null; commit;`,
  );
  return row.split('|').map(Number);
}

async function manyKeys(gateway) {
  await gateway.create('teams', { name: named('many') });
  await gateway.create('grants', { team: named('many'), models: [named('busy')] });
  const who = await gateway.create('agents', { name: named('many-agent'), team: named('many') });
  const like = {
    agent: who.name,
    models: [named('busy')],
    budget: { limit_usd: 5, period: 'day' },
    limits: { rpm: 60, parallel: 4 },
    expires_at: '2100-01-01T00:00:00Z',
  };
  const template = await gateway.virtualKey(like);
  const [count, version] = await insertKeys(gateway, template);
  const began = performance.now();
  assert.ok(count > KEYS);
  await until(
    async () => (await gateway.get('rollout')).dataplanes.every((plane) => plane.version >= version),
    60,
    'the keys on the planes that run',
  );
  console.log(`      ${count} keys; the planes that ran had them ${((performance.now() - began) / 1000).toFixed(1)} s after the commit`);
  const last = await gateway.virtualKey(like);

  const fresh = gateway.urls.at(-1);
  const name = `dp-${PLANES}`;
  const start = async (what) => {
    await hold(gateway, 40, name);
    if (what === 'without a policy') rmSync(`${gateway.place}/dataplanes/${name}/policy.sealed`);
    await release(gateway, 40, name);
    const started = performance.now();
    await until(async () => (await ask(fresh, last.key).catch(() => null))?.status === 200, 30, `${name}, started ${what}`);
    const ready = performance.now() - started;
    await sleep(1000);
    const resident = gateway.resident(name);
    console.log(`      a plane started ${what}: serves the last of them after ${ready.toFixed(0)} ms, ${(resident / 1e6).toFixed(0)} MB resident`);
    assert.ok(ready <= READY_MS, `${ready.toFixed(0)} ms`);
    assert.ok(resident < RESIDENT, `${(resident / 1e6).toFixed(0)} MB`);
  };
  await start('without a policy');
  await start('with its last policy');
  assert.equal((await ask(fresh, `gh-${randomBytes(6).toString('hex')}-${'A'.repeat(49)}`)).status, 401);
  for (let i = 0; i < PLANES; i++) console.log(`      dp-${i + 1}: ${(gateway.resident(`dp-${i + 1}`) / 1e6).toFixed(0)} MB`);
}

if (isMainThread) {
  const [build, home, base] = process.argv.slice(2);
  scenarios(() =>
    withInstallation({ home, base: Number(base), build }, PLANES, async (gateway) => {
      await scenario(`a revoked key is refused on ${PLANES} planes within ${WITHIN_MS} ms (p99)`, () => revocations(gateway));
      await scenario(`${KEYS} keys: a plane is ready within ${READY_MS} ms, below ${RESIDENT / 1e6} MB`, () => manyKeys(gateway));
    }),
  );
} else {
  loadThread(workerData);
}
