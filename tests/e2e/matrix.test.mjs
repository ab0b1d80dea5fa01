// Every official client against every kind of upstream: the table is printed, and no cell may be empty.
//
// A client is a module of matrix/clients: rows with a function for each scenario of matrix/kit.mjs. An upstream is
// a module of matrix/upstreams: a mock of a provider, which speaks its dialect natively and refuses what the
// provider would. A new one of either is a new file. Where a provider cannot serve a scenario it names it in
// `cannot`, with the member that the 400 must name; where it counts otherwise than matrix/kit.mjs says, its `usage`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Gateway, named, run } from '../kit/node/gateway.mjs';
import { upstream as listen } from '../kit/node/upstream.mjs';
import { modules, scenarios as letters, usage } from './matrix/kit.mjs';

const gateway = new Gateway();
const scenarios = Object.keys(letters);
const clients = await modules('./clients');
const upstreams = await modules('./upstreams');
const cells = new Map(); // "client|upstream" → letters of the scenarios that hold
const keyOf = (client, upstream) => `${client.name}|${upstream.name}`;
const modelOf = (upstream, scenario) => named(`mx-${upstream.name}-${scenario}`);
const listeners = [];
let key;

before(async () => {
  for (const [i, u] of upstreams.entries()) {
    const mock = await listen(gateway.port(20 + i), u.answer);
    listeners.push(mock);
    await gateway.create('providers', {
      name: named(`mx-${u.name}`),
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret: `sk-${u.name}-${run}` }],
      ...u.provider(mock.url),
    });
    await Promise.all(
      scenarios.map((s) => gateway.model(`mx-${u.name}-${s}`, '', { targets: [{ provider: named(`mx-${u.name}`), model: `${u.model}-${s}` }] })),
    );
  }
  key = await gateway.virtualKey({ models: upstreams.flatMap((u) => scenarios.map((s) => modelOf(u, s))) });
});

after(() => {
  for (const l of listeners) l.close();
  for (const c of clients) c.close?.();
  print();
});

// A letter for each scenario: in its place where it holds, "-" where the provider refuses it by name, "." where it
// fails.
function print() {
  const width = Math.max(...clients.map((c) => c.name.length));
  const column = Math.max(scenarios.length, ...upstreams.map((u) => u.name.length)) + 2;
  const lines = [`\n${scenarios.map((s) => `${letters[s]} ${s}`).join(', ')}; - refused by the member's name; . fails`];
  lines.push(' '.repeat(width + 2) + upstreams.map((u) => u.name.padEnd(column)).join(''));
  for (const c of clients)
    lines.push(c.name.padEnd(width + 2) + upstreams.map((u) => (cells.get(keyOf(c, u)) ?? []).join('').padEnd(column)).join(''));
  console.log(lines.join('\n') + '\n');
}

// The client must be told which member it is that the provider cannot take.
async function isRefused(client, scenario, t, member) {
  const e = await client[scenario](t).then(() => null, (e) => e);
  const told = JSON.stringify([e?.message, e?.error, e?.responseBody, e?.body]);
  assert.ok(e, 'it was served, although the upstream says it cannot be');
  assert.equal(e.status ?? e.statusCode, 400, told);
  assert.match(told, new RegExp(member.replaceAll('.', '\\.')));
}

for (const client of clients) {
  describe(client.name, () => {
    for (const upstream of upstreams) {
      scenarios.forEach((scenario, i) => {
        test(`${scenario}, served by ${upstream.name}`, { timeout: 30_000 }, async () => {
          const cell = cells.get(keyOf(client, upstream)) ?? scenarios.map(() => '.');
          cells.set(keyOf(client, upstream), cell);
          const t = { url: gateway.url, key: key.key, model: modelOf(upstream, scenario), usage: upstream.usage ?? usage };
          const refusal = upstream.cannot?.[scenario];
          assert.equal(typeof client[scenario], 'function', 'the cell is empty');
          if (refusal) await isRefused(client, scenario, t, refusal);
          else await client[scenario](t);
          cell[i] = refusal ? '-' : letters[scenario];
        });
      });
    }
  });
}
