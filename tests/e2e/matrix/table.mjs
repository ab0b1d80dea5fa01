// Clients against every kind of upstream: a test for each cell, then the table of clients and upstreams, and the same
// by their dialects. No cell may be empty.
//
// A client is a row with a function for each scenario of kit.mjs, and the dialect it speaks. An upstream is a mock of a
// provider, which speaks its dialect natively and refuses what the provider would. Where a client's dialect or a
// provider has no place for a scenario it names it in `cannot`, with the member that the 400 must name; where a provider
// counts otherwise than kit.mjs says, its `usage`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, named, run } from '../../kit/node/gateway.mjs';
import { upstream as listen } from '../../kit/node/upstream.mjs';
import * as kit from './kit.mjs';

const scenarios = Object.keys(kit.scenarios);
const dialectsOut = ['openai', 'azure', 'anthropic', 'gemini', 'vertex', 'bedrock', 'mistral', 'cohere', 'ollama'];
const CANCELLED_MS = 2000; // on a busy machine; flow.test_gone_dialects has the 100 ms

// The client must be told which member it is that cannot be taken.
async function isRefused(client, scenario, t, member) {
  const e = await client[scenario](t).then(() => null, (e) => e);
  const told = JSON.stringify([e?.message, e?.error, e?.responseBody, e?.body]);
  assert.ok(e, 'it was served, although it cannot be');
  assert.equal(e.status ?? e.statusCode, 400, told);
  assert.match(told, new RegExp(member.replaceAll('.', '\\.')));
}

// A client that leaves is gone for the upstream too.
async function isLeft(client, t) {
  await client.abort(t);
  assert.equal(await Promise.race([kit.gone.then(() => 'gone'), sleep(CANCELLED_MS, 'there')]), 'gone', 'the upstream goes on');
}

function print(title, rows, columns, cellOf) {
  const width = Math.max(...rows.map((r) => r.length));
  const column = Math.max(scenarios.length, ...columns.map((c) => c.length)) + 2;
  const lines = [`\n${title}`, ' '.repeat(width + 2) + columns.map((c) => c.padEnd(column)).join('')];
  for (const r of rows) lines.push(r.padEnd(width + 2) + columns.map((c) => cellOf(r, c).padEnd(column)).join(''));
  console.log(lines.map((l) => l.trimEnd()).join('\n') + '\n');
}

// A letter for each scenario: in its place where it holds, "-" where it is refused by the member's name, "." where it
// fails. Of several cells: where one fails it fails, where one serves it it is served.
const merged = (cells) =>
  scenarios.map((_, i) => {
    const all = cells.map((c) => c[i] ?? '.');
    return !all.length || all.includes('.') ? '.' : (all.find((x) => x !== '-') ?? '-');
  }).join('');

export function matrix(clients, upstreams) {
  const gateway = new Gateway();
  const cells = new Map(); // "client|upstream" → letters of the scenarios that hold
  const keyOf = (client, upstream) => `${client.name}|${upstream.name}`;
  const modelOf = (upstream, scenario) => named(`mx-${upstream.name}-${scenario}`);
  const dialectOf = (upstream) => upstream.provider('http://mock').dialect;
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
    const cellOf = (client, upstream) => cells.get(keyOf(client, upstream)) ?? [];
    const legend = `${scenarios.map((s) => `${kit.scenarios[s]} ${s}`).join(', ')}; - refused by the member's name; . fails`;
    print(legend, clients.map((c) => c.name), upstreams.map((u) => u.name),
      (c, u) => cellOf({ name: c }, { name: u }).join(''));
    print('by dialects, in × out:', [...new Set(clients.map((c) => c.dialect))], dialectsOut, (from, to) =>
      merged(clients.filter((c) => c.dialect === from).flatMap((c) => upstreams.filter((u) => dialectOf(u) === to).map((u) => cellOf(c, u)))));
  });

  test('an upstream of every dialect is there', () =>
    assert.deepEqual([...new Set(upstreams.map(dialectOf))].sort(), [...dialectsOut].sort()));

  for (const client of clients) {
    describe(client.name, () => {
      for (const upstream of upstreams) {
        scenarios.forEach((scenario, i) => {
          test(`${scenario}, served by ${upstream.name}`, { timeout: 30_000 }, async () => {
            const cell = cells.get(keyOf(client, upstream)) ?? scenarios.map(() => '.');
            cells.set(keyOf(client, upstream), cell);
            const signing = { accessKeyId: key.access_key_id, secretAccessKey: key.secret_access_key };
            const t = { url: gateway.url, key: key.key, signing, model: modelOf(upstream, scenario), usage: upstream.usage ?? kit.usage };
            const refusal = client.cannot?.[scenario] ?? upstream.cannot?.[scenario];
            assert.equal(typeof client[scenario], 'function', 'the cell is empty');
            if (refusal) await isRefused(client, scenario, t, refusal);
            else if (scenario === 'abort') await isLeft(client, t);
            else await client[scenario](t);
            cell[i] = refusal ? '-' : kit.scenarios[scenario];
          });
        });
      }
    });
  }
}
