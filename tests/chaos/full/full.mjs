// Journals that are full. While nobody takes usage in, calls go far beyond the ring: none is refused,
// and once somebody does, spend is the provider's bill to the nano-dollar and the token.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { named, nano, newTrace, traceparent, until } from '../../kit/node/gateway.mjs';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { Load, chatRequest } from '../../kit/node/load.mjs';
import { scenario, scenarios } from '../../kit/node/scenarios.mjs';

const [build, home, base] = process.argv.slice(2);
const RATE = 250; // calls a second
const RING_HOLDS = 150; // spans, at most: 48 KiB, and none is below 350 bytes
const MAX_OUTPUT = 20;

const costOf = (entry) => BigInt(entry.prompt_tokens) * 1000n + BigInt(entry.completion_tokens) * 10000n;
const sum = (list, of) => list.reduce((n, x) => n + of(x), 0n);

async function furnish(gateway) {
  await gateway.provider();
  for (const [name, behaviour] of [['plain', '?chunks=8'], ['streamed', '?chunks=15&chunk_ms=2']])
    await gateway.model(name, behaviour, { price: { input_per_mtok: 1, output_per_mtok: 10 }, max_output_tokens: MAX_OUTPUT });
  await gateway.create('teams', { name: named('full') });
  await gateway.create('grants', { team: named('full'), models: ['*'] });
}

// Calls of one key to both models, and what came of them.
class Traffic {
  static async begin(gateway, more = {}) {
    const key = await gateway.virtualKey({ team: named('full'), ...more });
    return new Traffic(gateway, key);
  }

  constructor(gateway, key) {
    this.gateway = gateway;
    this.key = key;
    this.since = new Date(Date.now() - 1000).toISOString();
    this.calls = [];
    const body = (model, more) => JSON.stringify({ model: named(model), ...more, messages: [{ role: 'user', content: 'Hello' }] });
    const bodies = [body('plain'), body('streamed', { stream: true, stream_options: { include_usage: true } })];
    this.load = new Load({
      urls: gateway.urls,
      connections: 20,
      rate: RATE,
      make: () => {
        const trace = newTrace();
        return { trace, text: chatRequest(key.key, bodies[this.calls.length % 2], `traceparent: ${traceparent(trace)}\r\n`) };
      },
      on: (call) => this.calls.push(call),
    }).start();
  }

  of(status) {
    return this.calls.filter((call) => call.status === status).length;
  }

  refusals() {
    return this.calls.filter((call) => call.status !== 200).map((call) => `${call.status} ${call.body}`);
  }

  // What the provider would bill for it, and what was recorded of it.
  async both() {
    const { gateway } = this;
    await gateway.shipped(60);
    const traces = new Set(this.calls.map((call) => call.trace));
    const ledger = (await gateway.ledger()).filter((entry) => traces.has(entry.trace));
    const spans = (await gateway.all(`spans?since=${this.since}&gate=ai`)).filter((s) => s.kind === 'call' && s.key === this.key.public_part);
    const row = (await gateway.get('spend?group_by=key')).items.find((r) => r.key === this.key.public_part);
    return { ledger, spans, row };
  }
}

const callsOf = (span) => BigInt(span.calls ?? 1);
const folded = (spans) => spans.filter((s) => s.code === 'folded');

function sameAsBilled({ ledger, spans, row }) {
  assert.equal(BigInt(row.calls), BigInt(ledger.length));
  assert.equal(nano(row.cost_usd), sum(ledger, costOf));
  assert.equal(BigInt(row.tokens.input), sum(ledger, (e) => BigInt(e.prompt_tokens)));
  assert.equal(BigInt(row.tokens.output), sum(ledger, (e) => BigInt(e.completion_tokens)));
  assert.equal(row.unpriced_calls, 0);
  assert.equal(sum(spans, callsOf), BigInt(ledger.length));
  for (const span of folded(spans)) {
    assert.equal(span.usage_source, 'provider');
    assert.equal(span.session, undefined);
    assert.ok(span.calls >= 1, JSON.stringify(span));
  }
}

// The leases come home: what they held is spent or free, and nothing is in suspense.
async function leasesSettled(gateway, key, cost) {
  const text = () =>
    gateway.psql(
      `begin; set local gatehouse.org_id = '*';
       select sum(spent_nano), sum(leased_nano), sum(suspense_nano) from budget_accounts where account = 'key:${key.id}';
       select count(*) from leases where account = 'key:${key.id}' and state <> 'closed'; commit;`,
    );
  await until(async () => (await text()) === `${cost}|0|0\n0`, 40, `the account of ${key.id} at ${cost} with no lease: it is ${await text()}`);
}

// Nothing comes in while this holds the cursors' table; leases are given as ever.
async function withIngestStopped(gateway, seconds, work) {
  const stopped = gateway.psql(`begin; lock table ingest_cursor in access exclusive mode; select pg_sleep(${seconds}); commit;`);
  await sleep(300);
  await work();
  await stopped;
}

async function farBeyond(gateway) {
  const traffic = await Traffic.begin(gateway, { budget: { limit_usd: 500, period: 'total', on_disconnect: 'stop' } });
  await withIngestStopped(gateway, 13, async () => {
    await sleep(12000);
    assert.ok((await gateway.metric(0, 'gatehouse_journal_folded_total')) > traffic.calls.length - 3 * RING_HOLDS);
    await traffic.load.stop();
  });
  assert.deepEqual(traffic.refusals(), []);
  const both = await traffic.both();
  console.log(`      ${traffic.calls.length} calls, ${folded(both.spans).length} sums of ${sum(folded(both.spans), callsOf)} calls`);
  assert.ok(traffic.calls.length > 10 * RING_HOLDS, 'too few calls to show anything');
  assert.ok(sum(folded(both.spans), callsOf) > BigInt(traffic.calls.length - 3 * RING_HOLDS));
  assert.equal(both.ledger.length, traffic.calls.length);
  sameAsBilled(both);
  await leasesSettled(gateway, traffic.key, nano(both.row.cost_usd));
  assert.equal(await gateway.metric(0, 'gatehouse_unrecorded_total'), 0);
  assert.equal(await gateway.metric(0, 'gatehouse_journal_dropped_total'), 0);
}

async function controlPlaneAway(gateway) {
  const free = await Traffic.begin(gateway);
  const budgeted = await Traffic.begin(gateway, { budget: { limit_usd: 500, period: 'total', on_disconnect: 'stop' } });
  await sleep(3000); // leases are as large as recent use
  await hold(gateway, 30, 'controlplane');
  await sleep(12000);
  await release(gateway, 30, 'controlplane');
  await until(async () => (await gateway.admin('GET', 'teams?limit=1').catch(() => null))?.status === 200, 60, 'the admin API');
  await sleep(1000);
  await free.load.stop();
  await budgeted.load.stop();
  assert.deepEqual(free.refusals(), [], 'nobody without a budget notices');
  // a lease lasts for seconds; a full journal is never what refuses
  for (const said of budgeted.refusals()) assert.match(said, /^503 .*"budget_unavailable"/);
  assert.ok(free.calls.length > 10 * RING_HOLDS);
  for (const traffic of [free, budgeted]) {
    const both = await traffic.both();
    const refused = traffic.calls.length - traffic.of(200);
    console.log(`      ${traffic.of(200)} calls, ${refused} refused for want of a lease; sums of ${sum(folded(both.spans), callsOf)} calls`);
    assert.equal(both.ledger.length, traffic.of(200));
    both.row.calls -= both.row.refusals;
    both.spans = both.spans.filter((s) => s.status !== 'refused');
    sameAsBilled(both);
    if (traffic === budgeted) await leasesSettled(gateway, traffic.key, nano(both.row.cost_usd));
  }
  assert.equal(await gateway.metric(0, 'gatehouse_unrecorded_total'), 0);
}

async function killedInTheMiddle(gateway) {
  const traffic = await Traffic.begin(gateway, { budget: { limit_usd: 500, period: 'total', on_disconnect: 'stop' } });
  await withIngestStopped(gateway, 14, async () => {
    for (let i = 0; i < 3; i++) {
      await sleep(3000);
      const pid = gateway.kill('dp-1');
      await gateway.back('dp-1', pid);
      await gateway.ready(gateway.url);
    }
    await sleep(1500);
    await traffic.load.stop();
  });
  const { ledger, spans, row } = await traffic.both();
  const worst = BigInt(MAX_OUTPUT) * 10000n;
  const counted = (of) => sum(spans.filter(of), callsOf);
  const cost = (of) => sum(spans.filter(of), (s) => nano(s.cost_usd));
  const isLost = (s) => s.usage_source === 'lost';
  const isBilled = (s) => s.usage_source === 'provider';
  const lost = counted(isLost);
  console.log(
    `      ${traffic.calls.length} calls, ${traffic.of(200)} answered whole, ${ledger.length} in the provider's ledger; ` +
      `sums of ${sum(folded(spans), callsOf)} calls, ${lost} lost`,
  );
  // broken off by the kill, or before the plane that is back has a lease
  for (const said of traffic.refusals()) assert.match(said, /^0 |^503 .*"budget_unavailable"/);
  assert.ok(sum(folded(spans), callsOf) > BigInt(RING_HOLDS));
  assert.ok(lost > 0n, 'no call was under way when the plane was killed: the scenario shows nothing');
  assert.equal(sum(spans, callsOf), BigInt(row.calls));
  assert.equal(counted((s) => !isLost(s) && !isBilled(s) && s.status !== 'refused'), 0n);
  // who was answered whole is not lost, and what was billed is counted once: as billed, or lost
  assert.ok(counted(isBilled) >= BigInt(traffic.of(200)));
  assert.ok(BigInt(ledger.length) <= counted(isBilled) + lost, `${counted(isBilled)} and ${lost} lost`);
  assert.ok(counted(isBilled) <= BigInt(ledger.length));
  for (const [model, streamed] of [['plain', false], ['streamed', true]]) {
    const prices = new Set(ledger.filter((e) => e.complete && e.streamed === streamed).map(costOf));
    assert.equal(prices.size, 1, 'one body, one price');
    const billed = (s) => isBilled(s) && s.model === named(model);
    assert.equal(cost(billed), counted(billed) * [...prices][0]);
  }
  assert.ok(cost(isLost) >= lost * worst, 'lost below the worst of its answer');
  assert.ok(cost(isBilled) + cost(isLost) >= sum(ledger, costOf), 'less than the bill');
  await leasesSettled(gateway, traffic.key, nano(row.cost_usd));
}

scenarios(() =>
  withInstallation({ home, base: Number(base), build }, 1, async (gateway) => {
    await furnish(gateway);
    await scenario('nobody takes usage in: budgets are served far beyond the ring, and spend is the bill', () => farBeyond(gateway));
    await scenario('the control plane is away: nobody is refused for the journal, and spend is the bill', () => controlPlaneAway(gateway));
    await scenario('a plane is killed while its journal is full: every call is counted once', () => killedInTheMiddle(gateway));
  }),
);
