// Kills under load. What holds afterwards, whatever was killed: every call in the provider's ledger
// has exactly one record; its figures are the provider's own, or it is `lost` at no less; and what a
// client was answered whole is never among the lost.
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { named, nano, newTrace, traceparent, until } from '../../kit/node/gateway.mjs';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { Load, chatRequest } from '../../kit/node/load.mjs';
import { scenario, scenarios } from '../../kit/node/scenarios.mjs';

const [build, home, base] = process.argv.slice(2);
const RATE = 300; // calls a second: two cores also carry planes, provider, database and this script
const ENOUGH = 500;
const PRICE = { input_per_mtok: 1, output_per_mtok: 10 };

const costOf = (entry) => BigInt(entry.prompt_tokens) * 1000n + BigInt(entry.completion_tokens) * 10000n;

async function furnish(gateway) {
  await gateway.provider();
  await gateway.model('plain', '?chunks=8&delay_ms=5', { price: PRICE, max_output_tokens: 20 });
  await gateway.model('streamed', '?chunks=15&chunk_ms=5', { price: PRICE, max_output_tokens: 20 });
  await gateway.model('dollar', '?chunks=1', { price: { input_per_mtok: 0, output_per_mtok: 1_000_000 }, max_output_tokens: 1 });
  await gateway.model('endless', '?chunks=2000&chunk_ms=20', { price: PRICE, max_output_tokens: 4000 });
  await gateway.create('teams', { name: named('chaos') });
  await gateway.create('grants', { team: named('chaos'), models: ['*'] });
}

// Calls of two keys, one with a budget and one without, plain and streamed, and all that came of them.
class Traffic {
  static async begin(gateway) {
    const free = await gateway.virtualKey({ team: named('chaos') });
    const budgeted = await gateway.virtualKey({ team: named('chaos'), budget: { limit_usd: 500, period: 'total' } });
    return new Traffic(gateway, [free, budgeted]);
  }

  constructor(gateway, keys) {
    this.gateway = gateway;
    this.budgeted = keys[1];
    this.since = new Date(Date.now() - 1000).toISOString();
    this.calls = [];
    const bodies = [
      JSON.stringify({ model: named('plain'), messages: [{ role: 'user', content: 'Hello' }] }),
      JSON.stringify({ model: named('streamed'), stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
    ];
    this.load = new Load({
      urls: gateway.urls,
      connections: 30,
      rate: RATE,
      make: () => {
        const trace = newTrace();
        const body = bodies[Math.random() < 0.5 ? 0 : 1];
        const key = keys[Math.random() < 0.5 ? 0 : 1];
        return { trace, key, text: chatRequest(key.key, body, `traceparent: ${traceparent(trace)}\r\n`) };
      },
      on: (call) => this.calls.push(call),
    }).start();
  }

  of(status) {
    return this.calls.filter((call) => call.status === status).length;
  }

  say(more = '') {
    const others = [...new Set(this.calls.map((c) => c.status))].filter((s) => s !== 200);
    console.log(
      `      ${this.calls.length} calls, ${this.of(200)} answered whole${others.map((s) => `, ${this.of(s)} ${s || 'broken off'}`).join('')}${more}`,
    );
  }

  // A slow machine takes longer for calls enough to show anything.
  async stop() {
    await until(() => this.of(200) > ENOUGH, 60, `${ENOUGH} calls answered whole`);
    await this.load.stop();
  }

  // While the control plane cannot be asked, a budget lasts for what was leased of it in advance;
  // everything else goes on as if nothing had happened.
  wentOn({ planesKilled = false } = {}) {
    for (const call of this.calls) {
      if (call.status === 200 || (call.status === 0 && planesKilled)) continue;
      const what = `${call.status} ${call.head} ${call.body}`;
      assert.equal(call.key, this.budgeted, what);
      assert.equal(call.status, 503, what);
      assert.equal(JSON.parse(call.body).error.code, 'budget_unavailable', what);
    }
  }

  // Everything is in: each record once, and none of a bill missing.
  async settled() {
    const { gateway } = this;
    await gateway.shipped(60);
    const traces = new Set(this.calls.map((call) => call.trace));
    const ledger = (await gateway.ledger()).filter((e) => traces.has(e.trace));
    const spans = (await gateway.all(`spans?since=${this.since}&gate=ai`)).filter((s) => s.kind === 'call' && traces.has(s.trace_id));
    return { ledger, spans };
  }
}

function holdAgainst({ ledger, spans }, calls) {
  const records = new Map();
  for (const span of spans) {
    assert.ok(!records.has(span.trace_id), `two records of trace ${span.trace_id}`);
    records.set(span.trace_id, span);
  }
  let lost = 0;
  const seen = new Set();
  for (const entry of ledger) {
    assert.ok(!seen.has(entry.trace), `the provider was called twice for trace ${entry.trace}`);
    seen.add(entry.trace);
    const span = records.get(entry.trace);
    assert.ok(span, `no record of ${JSON.stringify(entry)}`);
    const what = `${JSON.stringify(entry)}\n${JSON.stringify(span)}`;
    if (span.usage_source === 'lost') {
      lost++;
      assert.ok(nano(span.cost_usd) >= costOf(entry), `lost below its bill: ${what}`);
    } else if (span.usage_source === 'provider') {
      assert.equal(span.tokens.input, entry.prompt_tokens, what);
      assert.equal(span.tokens.output, entry.completion_tokens, what);
      assert.equal(nano(span.cost_usd), costOf(entry), what);
    } else {
      // cancelled in mid-stream: neither side knows the provider's figure yet
      assert.equal(entry.complete, false, what);
      assert.ok(nano(span.cost_usd) > 0n, what);
    }
  }
  for (const call of calls) {
    if (call.status !== 200) continue;
    const span = records.get(call.trace);
    assert.ok(span, `no record of an answered call, trace ${call.trace}`);
    assert.equal(span.usage_source, 'provider', `answered whole, but recorded as ${JSON.stringify(span)}`);
  }
  return lost;
}

// What the accounts say is what the records add up to.
async function accountsAgree(gateway, key, { spans }) {
  const own = spans.filter((s) => s.key === key.public_part);
  const sum = own.reduce((n, s) => n + (s.cost_usd ? nano(s.cost_usd) : 0n), 0n);
  assert.ok(sum > 0n);
  const account = await until(
    async () => {
      const text = await gateway.psql(
        `begin; set local gatehouse.org_id = '*';
         select coalesce(sum(spent_nano), 0), coalesce(sum(limit_nano), 0),
                coalesce(sum(spent_nano + leased_nano + suspense_nano), 0)
         from budget_accounts where account = 'key:${key.id}'; commit;`,
      );
      const row = text.split('|').map(BigInt);
      return row[0] === sum && row;
    },
    20,
    `the account's sum to be that of its records (${sum})`,
  );
  assert.ok(account[2] <= account[1], `spent, leased and suspense ${account[2]} above the limit ${account[1]}`);
}

const adminIsBack = (gateway) =>
  until(async () => (await gateway.admin('GET', 'teams?limit=1').catch(() => null))?.status === 200, 60, 'the admin API');

async function buy(url, key) {
  const body = JSON.stringify({ model: named('dollar'), messages: [{ role: 'user', content: 'Hello' }] });
  try {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' },
      body,
    });
    await answer.text();
    return answer.status;
  } catch {
    return 0;
  }
}

async function controlPlaneKilled(gateway) {
  const traffic = await Traffic.begin(gateway);
  await sleep(1500);
  for (let i = 0; i < 3; i++) {
    const pid = gateway.kill('controlplane');
    await gateway.back('controlplane', pid);
    await sleep(1500);
  }
  await traffic.stop();
  traffic.say();
  traffic.wentOn();
  const both = await traffic.settled();
  assert.equal(both.ledger.length, traffic.of(200));
  assert.equal(both.spans.length, traffic.calls.length, 'also a refused call has its record');
  assert.equal(holdAgainst(both, traffic.calls), 0);
  await accountsAgree(gateway, traffic.budgeted, both);
}

async function databaseRestarted(gateway) {
  const traffic = await Traffic.begin(gateway);
  await sleep(1500);
  for (const signal of ['SIGINT', 'SIGQUIT']) {
    // fast, then as if the machine had lost power
    const pid = gateway.kill('postgres', signal);
    await gateway.back('postgres', pid);
    await sleep(2500);
  }
  await traffic.stop();
  traffic.say();
  traffic.wentOn();
  await adminIsBack(gateway);
  const both = await traffic.settled();
  assert.equal(both.ledger.length, traffic.of(200));
  assert.equal(both.spans.length, traffic.calls.length, 'also a refused call has its record');
  assert.equal(holdAgainst(both, traffic.calls), 0);
  await accountsAgree(gateway, traffic.budgeted, both);
}

async function dataPlanesKilled(gateway) {
  const traffic = await Traffic.begin(gateway);
  await sleep(1500);
  for (let i = 0; i < 6; i++) {
    const n = i % gateway.urls.length;
    const pid = gateway.kill(`dp-${n + 1}`);
    await gateway.back(`dp-${n + 1}`, pid);
    await gateway.ready(gateway.urls[n]);
    await sleep(700);
  }
  await traffic.stop();
  const both = await traffic.settled();
  const lost = holdAgainst(both, traffic.calls);
  traffic.say(`; ${both.ledger.length} in the provider's ledger, ${both.spans.length} records, ${lost} of them lost`);
  traffic.wentOn({ planesKilled: true });
  assert.ok(lost > 0, 'no call was under way when a plane was killed: the scenario shows nothing');
  await accountsAgree(gateway, traffic.budgeted, both);
}

async function everythingKilled(gateway) {
  const traffic = await Traffic.begin(gateway);
  await sleep(1000);
  const pids = ['postgres', 'controlplane', 'dp-1', 'dp-2'].map((name) => [name, gateway.kill(name, name === 'postgres' ? 'SIGQUIT' : 'SIGKILL')]);
  for (const [name, pid] of pids) await gateway.back(name, pid);
  for (const url of gateway.urls) await gateway.ready(url);
  await sleep(2000);
  await traffic.stop();
  await adminIsBack(gateway);
  const both = await traffic.settled();
  const lost = holdAgainst(both, traffic.calls);
  traffic.say(`; ${both.ledger.length} in the provider's ledger, ${lost} lost`);
  traffic.wentOn({ planesKilled: true });
  await accountsAgree(gateway, traffic.budgeted, both);
}

async function bootsAlone(gateway) {
  const free = await gateway.virtualKey({ team: named('chaos'), models: [named('plain')] });
  await gateway.create('teams', { name: named('alone') });
  await gateway.create('grants', { team: named('alone'), models: ['*'] });
  const open = await gateway.virtualKey({ team: named('alone') });
  const limited = await gateway.virtualKey({ team: named('alone'), budget: { limit_usd: 10, period: 'total' } });
  const [first, second] = gateway.urls;
  let passed = 0;
  const spend = async (url) => {
    const status = await buy(url, limited);
    if (status === 200) passed++;
    return status;
  };
  for (let i = 0; i < 3; i++) await spend(second);
  assert.equal(passed, 3);
  await hold(gateway, 30, 'controlplane');
  try {
    const pid = gateway.kill('dp-1');
    await gateway.back('dp-1', pid);
    await gateway.ready(first);
    for (let i = 0; i < 20; i++) {
      assert.equal(await buy(first, open), 200, 'the plane that booted from its disk serves');
      assert.equal(await buy(second, open), 200, 'and so does the other');
    }
    assert.equal(await buy(first, { key: free.key.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A')) }), 401);
    // at once: a plane has some patience with a control plane that may only be restarting
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => spend(gateway.urls[i % 2])));
    assert.deepEqual(answers.filter((status) => ![200, 429, 503].includes(status)), []);
    assert.ok(passed <= 10, `${passed} of 10 dollars passed`);
    assert.equal(await gateway.metric(0, 'gatehouse_channel_connected'), 0);
    assert.equal(await gateway.metric(0, 'gatehouse_ready'), 1);
  } finally {
    await release(gateway, 30, 'controlplane');
  }
  await adminIsBack(gateway);
  const alone = passed;
  const said = new Map(); // what was answered meanwhile, and how often
  await until(
    async () => {
      for (const url of gateway.urls) {
        const status = await spend(url);
        said.set(`${url} ${status}`, (said.get(`${url} ${status}`) ?? 0) + 1);
      }
      return passed >= 10;
    },
    30,
    'the rest of the budget',
  ).catch((e) => {
    throw new Error(`${e.message}: ${passed} of 10 dollars passed, ${alone} of them alone; ${JSON.stringify([...said])}`);
  });
  // a plane that is not connected again yet cannot know that all is spent
  for (const url of gateway.urls) await until(async () => (await spend(url)) === 429, 20, 'a refusal for good');
  console.log(`      ${alone} of 10 dollars were spent without the control plane, 10 in the end`);
  assert.equal(passed, 10);
  await gateway.shipped();
  const row = (await gateway.get('spend?group_by=key')).items.find((r) => r.key === limited.public_part);
  assert.equal(row.cost_usd, '10.000000000');
}

// An empty state directory and a token, of the same owner.
function beginAnew(gateway, name, token) {
  const own = `${gateway.place}/secrets/dataplanes`; // where the data planes have a user of their own
  const state = `${gateway.place}/dataplanes/${name}`;
  const tokenFile = `${existsSync(own) ? own : `${gateway.place}/secrets`}/${name}.token`;
  const { uid, gid } = statSync(`${gateway.place}/dataplanes`);
  mkdirSync(state, { mode: 0o700 });
  writeFileSync(tokenFile, token, { mode: 0o600 });
  for (const path of [state, tokenFile]) chownSync(path, uid, gid);
}

// A container without a volume: the same plane comes back with nothing but a new certificate.
async function stateForgotten(gateway) {
  // What a lost disk had leased stays in suspense until it is written off: that of a few seconds, by `stop`.
  const budget = { limit_usd: 1000, period: 'total', on_disconnect: 'stop' };
  const key = await gateway.virtualKey({ team: named('chaos'), budget });
  const since = new Date(Date.now() - 1000).toISOString();
  const [url] = gateway.urls;
  const state = `${gateway.place}/dataplanes/dp-1`;
  let passed = 0;
  const life = async () => {
    for (let i = 0; i < 20; i++, passed++) assert.equal(await buy(url, key), 200);
    await gateway.shipped();
  };
  const recorded = async () => {
    const row = (await gateway.get('spend?group_by=key')).items.find((r) => r.key === key.public_part);
    const spans = (await gateway.all(`spans?since=${since}&gate=ai`)).filter((s) => s.kind === 'call' && s.key === key.public_part);
    return [nano(row.cost_usd), spans.length];
  };
  await life();
  for (let again = 0; again < 2; again++) {
    await hold(gateway, 40, 'dp-1');
    const answer = await gateway.admin('POST', 'dataplanes/dp-1/enrolment-token');
    assert.equal(answer.status, 200, answer.text);
    renameSync(state, `${state}.forgotten-${again}`);
    beginAnew(gateway, 'dp-1', answer.json.enrolment_token);
    await release(gateway, 40, 'dp-1');
    await gateway.ready(url);
    await life();
  }
  const want = [BigInt(passed) * 1_000_000_000n, passed];
  await until(async () => String(await recorded()) === String(want), 20, `${passed} calls of three lives in spans and spend`);
}

async function planeDeleted(gateway) {
  const key = await gateway.virtualKey({ team: named('chaos') });
  const [first, second] = gateway.urls;
  await hold(gateway, 30, 'controlplane'); // an outage is no removal
  for (let i = 0; i < 20; i++, await sleep(100)) for (const url of gateway.urls) assert.equal(await buy(url, key), 200);
  await release(gateway, 30, 'controlplane');
  await adminIsBack(gateway);

  const stream = await fetch(`${second}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: named('endless'), stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  assert.equal(stream.status, 200);
  const cut = stream.text().then((text) => text.includes('[DONE]'), () => false);
  const answer = await gateway.admin('DELETE', 'dataplanes/dp-2?wait=applied');
  assert.equal(answer.status, 204, answer.text);
  const deleted = performance.now();
  await until(async () => (await buy(second, key)) === 503, 1, 'the deleted plane refusing');
  assert.equal(await cut, false, 'its open stream is cut, not ended');
  assert.ok(performance.now() - deleted < 2000);
  const ready = await fetch(`http://127.0.0.1:${Number(new URL(second).port) + 4}/readyz`);
  assert.equal(ready.status, 503);
  assert.equal((await ready.json()).removed, true);
  assert.equal(await buy(first, key), 200, 'the other one serves');
  const { pid } = gateway.process('dp-2');
  const ended = performance.now();
  gateway.kill('dp-2', 'SIGTERM');
  await until(() => gateway.process('dp-2').pid !== pid, 10, 'its end, with nobody to ship to');
  const took = Math.round(performance.now() - ended);
  await until(
    () => /"event":"removed","state_dir":/.test(readFileSync(`${gateway.place}/log/dp-2.log`, 'utf8')),
    10,
    'the next start saying that it was removed',
  );
  console.log(`      ended ${took} ms after SIGTERM`);
}

scenarios(() =>
  withInstallation({ home, base: Number(base), build }, 2, async (gateway) => {
    await furnish(gateway);
    await scenario('the control plane is killed under load: traffic goes on, nothing is lost, nothing is there twice', () => controlPlaneKilled(gateway));
    await scenario('PostgreSQL is restarted under load: traffic goes on, nothing is lost, nothing is there twice', () => databaseRestarted(gateway));
    await scenario('data planes are killed under load: every bill has one record, the provider\'s or lost at no less', () => dataPlanesKilled(gateway));
    await scenario('everything is killed at once: the same holds', () => everythingKilled(gateway));
    await scenario('a data plane is enrolled again with an empty disk: every call of all its lives is recorded', () => stateForgotten(gateway));
    await scenario('a data plane boots and serves without the control plane, and budgets hold', () => bootsAlone(gateway));
    await scenario('a data plane is deleted: it refuses within a second, cuts its streams and ends at once; an outage is none', () => planeDeleted(gateway));
  }),
);
