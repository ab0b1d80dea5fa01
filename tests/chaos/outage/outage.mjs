// An outage: PostgreSQL alone is away, and is back. And control plane and PostgreSQL are away under load: what is leased
// ahead carries every budget that has money; afterwards each budget's spend is what the provider would bill.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { named, nano, newTrace, traceparent, until } from '../../kit/node/gateway.mjs';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { Load, chatRequest } from '../../kit/node/load.mjs';
import { scenario, scenarios } from '../../kit/node/scenarios.mjs';

const [build, home, base] = process.argv.slice(2);
const SECONDS = Number(process.env.OUTAGE_SECONDS ?? 30);
const WARM_SECONDS = 8; // recent use, by which leases are sized
const KEYS = 50;
const RATE = 150; // calls a second: two cores also carry planes, provider and this script
const PRICE = { input_per_mtok: 10, output_per_mtok: 50 };
const MAX_OUTPUT = 20;
const NANO = { input: 10_000n, output: 50_000n };

const costOf = (entry) => BigInt(entry.prompt_tokens) * NANO.input + BigInt(entry.completion_tokens) * NANO.output;
const usd = (n) => `$${(Number(n) / 1e9).toFixed(6)}`;

// $5 to $500, and one of a few cents that is spent before the outage is over.
function limits() {
  const list = Array.from({ length: KEYS }, (_, i) => 5 + Math.round((495 * i) / (KEYS - 1)));
  return [...list, SMALL_USD];
}
const SMALL_USD = 0.05;

async function furnish(gateway) {
  await gateway.provider();
  await gateway.model('plain', '?chunks=8', { price: PRICE, max_output_tokens: MAX_OUTPUT });
  await gateway.create('teams', { name: named('outage') });
  await gateway.create('grants', { team: named('outage'), models: ['*'] });
  const keys = [];
  for (const limit of limits())
    keys.push({ ...(await gateway.virtualKey({ team: named('outage'), budget: { limit_usd: limit, period: 'total' } })), limit });
  return keys;
}

function traffic(gateway, keys) {
  const body = JSON.stringify({ model: named('plain'), messages: [{ role: 'user', content: 'Hello' }] });
  const calls = [];
  let next = 0;
  const load = new Load({
    urls: gateway.urls,
    connections: 20,
    rate: RATE,
    make: () => {
      const trace = newTrace();
      const key = keys[next++ % keys.length];
      return { trace, key, at: performance.now(), text: chatRequest(key.key, body, `traceparent: ${traceparent(trace)}\r\n`) };
    },
    on: (call) => calls.push({ status: call.status, body: call.body, head: call.head, trace: call.trace, key: call.key, took: performance.now() - call.at }),
  }).start();
  return { load, calls };
}

async function awayTogether(gateway) {
  await hold(gateway, 30, 'controlplane');
  await hold(gateway, 10, 'postgres');
}

async function backTogether(gateway) {
  await release(gateway, 10, 'postgres');
  await release(gateway, 30, 'controlplane');
  await until(async () => (await gateway.admin('GET', 'teams?limit=1').catch(() => null))?.status === 200, 90, 'the admin API');
}

const standing = async (gateway) => {
  const port = Number(new URL(gateway.url).port) + 4;
  return (await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()).leases;
};

// spent, leased, in suspense and limit of every key, in nano-dollars
async function accounts(gateway, keys) {
  const ids = keys.map((k) => `'key:${k.id}'`).join(',');
  const text = await gateway.psql(
    `begin; set local gatehouse.org_id = '*';
     select account, spent_nano, leased_nano, suspense_nano, limit_nano from budget_accounts where account in (${ids}); commit;`,
  );
  return new Map(
    text.split('\n').filter(Boolean).map((row) => {
      const [account, ...sums] = row.split('|');
      return [account.slice(4), sums.map(BigInt)];
    }),
  );
}

async function outage(gateway, keys) {
  const { load, calls } = traffic(gateway, keys);
  await sleep(WARM_SECONDS * 1000);
  await awayTogether(gateway);
  const from = calls.length;
  const began = performance.now();
  await sleep(Math.min(5000, SECONDS * 500));
  const state = await standing(gateway);
  assert.ok(state.unanswered_ms > 1000 && state.count > 0, JSON.stringify(state));
  await sleep(Math.max(0, SECONDS * 1000 - (performance.now() - began)));
  const to = calls.length;
  await backTogether(gateway);
  await sleep(1500);
  await load.stop();
  await gateway.shipped(120);

  const during = calls.slice(from, to);
  const bad = calls.filter((c) => c.status !== 200);
  const large = bad.filter((c) => c.key.limit !== SMALL_USD);
  assert.deepEqual(large.map((c) => `${c.status} ${c.body}`), [], 'a call was refused although its budget has money');
  const entries = new Map((await gateway.ledger()).map((e) => [e.trace, e]));
  const billed = new Map(keys.map((k) => [k.id, 0n]));
  for (const call of calls) {
    const entry = entries.get(call.trace);
    assert.equal(call.status === 200, Boolean(entry), `${call.status} and ${JSON.stringify(entry)}`);
    if (entry) billed.set(call.key.id, billed.get(call.key.id) + costOf(entry));
  }
  let rows = new Map();
  await until(
    async () => {
      rows = await accounts(gateway, keys);
      return keys.every((k) => rows.get(k.id)?.[0] === billed.get(k.id));
    },
    60,
    'spend equal to the bill of every key',
  ).catch((e) => {
    for (const k of keys) if (rows.get(k.id)?.[0] !== billed.get(k.id)) console.log(`      ${k.id}: ${rows.get(k.id)} and billed ${billed.get(k.id)}`);
    throw e;
  });
  let spent = 0n;
  for (const k of keys) {
    const [s, leased, suspense, limit] = rows.get(k.id);
    spent += s;
    assert.ok(s <= limit, `${k.id}: spent ${s} of ${limit}`);
    assert.ok(s + leased + suspense <= limit, `${k.id}: ${s} + ${leased} + ${suspense} of ${limit}`);
  }
  const small = keys.at(-1);
  const worst = Math.max(...[...entries.values()].map((e) => e.prompt_tokens)) * 10_000 + MAX_OUTPUT * 50_000;
  const left = Number(nano(SMALL_USD) - billed.get(small.id));
  const refused = bad.filter((c) => c.key === small);
  // each plane may be left with less than one call's worst case
  if (refused.length > 0) assert.ok(left < gateway.urls.length * worst, `refused with ${left} nano-dollars left`);
  const slowest = Math.max(...refused.map((c) => c.took), 0);
  console.log(
    `      ${SECONDS} s away: ${during.length} calls in that time, ${calls.length} in all, ${keys.length} budgets; refused with money left: 0; ` +
      `spent ${usd(spent)} and billed the same; ${refused.length} refusals of the budget of $${SMALL_USD}, slowest ${Math.round(slowest)} ms, ${usd(left)} left of it; ` +
      `leased at 5 s: ${state.count} leases, $${state.left_usd} left on the first plane`,
  );
}

// PostgreSQL alone is away: the control plane stays up, says so, and is ready again soon after PostgreSQL is.
const AWAY_MS = 15000; // the tries to connect are as far apart then as they get
const READY_MS = 3000; // one try a second, and a machine that is busy

async function databaseAlone(gateway) {
  const ready = async () => (await fetch(`${gateway.adminUrl}/readyz`).catch(() => null))?.status;
  const write = async (name) => (await gateway.admin('POST', 'teams', { name: named(name) }).catch(() => null))?.status;
  const since = (at) => Math.round(performance.now() - at);
  assert.equal(await ready(), 200);
  await hold(gateway, 10, 'postgres');
  const left = performance.now();
  await until(async () => (await ready()) === 503, 20, 'a control plane that is not ready');
  const noticed = since(left);
  await sleep(AWAY_MS);
  assert.equal(await write('while-away'), 503);
  await release(gateway, 10, 'postgres');
  await until(async () => (await gateway.psql('select 1').catch(() => null))?.trim() === '1', 60, 'PostgreSQL');
  const back = performance.now();
  await until(async () => (await ready()) === 200, 60, 'a control plane that is ready');
  const took = since(back);
  assert.equal(await write('once-back'), 201);
  const wrote = since(back);
  console.log(`      PostgreSQL alone away for ${AWAY_MS / 1000} s: noticed after ${noticed} ms; ready ${took} ms after it took connections, and the first write done ${wrote} ms after`);
  assert.ok(took < READY_MS, `ready after ${took} ms`);
}

scenarios(() =>
  withInstallation({ home, base: Number(base), build }, 2, async (gateway) => {
    const keys = await furnish(gateway);
    await scenario('PostgreSQL away and back: the control plane is ready again within 3 s', () => databaseAlone(gateway));
    await scenario('control plane and PostgreSQL away: no budget with money refuses, and spend is the bill', () => outage(gateway, keys));
  }),
);
