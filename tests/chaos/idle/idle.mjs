// What an installation costs that nobody uses: how often the threads of its processes wake.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { named, until } from '../../kit/node/gateway.mjs';
import { scenario, scenarios } from '../../kit/node/scenarios.mjs';

const SETTLE_MS = 8000; // the enrolment, the first listings and the first leases are over
const SECONDS = 10;
const END_S = 15; // the lame-duck pause, a second for the channel, and a busy machine
const WAKES = 50; // a second, all threads of a process together

// The threads of a process and how often each has slept and been woken (proc(5), status).
function switches(pid) {
  const threads = new Map();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
    const [, name] = /^Name:\s*(.*)$/m.exec(status);
    const [, count] = /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status);
    threads.set(task, { name, count: Number(count) });
  }
  return threads;
}

async function wakes(gateway, name) {
  const { pid } = gateway.process(name);
  const before = switches(pid);
  await sleep(SECONDS * 1000);
  const after = switches(pid);
  const rows = [...after].map(([task, { name: thread, count }]) => ({
    thread,
    rate: (count - (before.get(task)?.count ?? 0)) / SECONDS,
  }));
  rows.sort((a, b) => b.rate - a.rate);
  const total = rows.reduce((sum, row) => sum + row.rate, 0);
  console.log(
    `      ${name}: ${total.toFixed(1)} a second on ${rows.length} threads: ` +
      rows.slice(0, 8).map((row) => `${row.thread} ${row.rate.toFixed(1)}`).join(', '),
  );
  return total;
}

// What could not be shipped stays in its journal: an outage does not hold up the end of a plane.
async function endsInAnOutage(gateway) {
  await gateway.provider();
  await gateway.model('outage', '?chunks=2');
  await gateway.create('teams', { name: named('outage') });
  await gateway.create('grants', { team: named('outage'), models: [named('outage')] });
  const { key } = await gateway.virtualKey({ team: named('outage'), budget: { limit_usd: 5, period: 'day' } });
  const call = async () => {
    const response = await fetch(`${gateway.urls[0]}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: named('outage'), max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    await response.text();
    return response.status === 200;
  };
  await until(call, 20, 'a call that takes a lease');
  await hold(gateway, 30, 'controlplane');
  await sleep(1500); // the plane knows that it is alone
  const pid = gateway.kill('dp-1', 'SIGTERM');
  const began = performance.now();
  await until(() => !existsSync(`/proc/${pid}`), END_S, 'the end of dp-1');
  console.log(`      dp-1 ended ${((performance.now() - began) / 1000).toFixed(1)} s after SIGTERM`);
  await release(gateway, 30, 'controlplane');
}

const [build, home, base] = process.argv.slice(2);
scenarios(() =>
  withInstallation({ home, base: Number(base), build }, 1, async (gateway) => {
    await sleep(SETTLE_MS);
    const [plane, control] = await Promise.all([wakes(gateway, 'dp-1'), wakes(gateway, 'controlplane')]);
    await scenario(`an idle data plane wakes less than ${WAKES} times a second`, async () =>
      assert.ok(plane < WAKES, `${plane.toFixed(1)} a second`),
    );
    await scenario(`an idle control plane wakes less than ${WAKES} times a second`, async () =>
      assert.ok(control < WAKES, `${control.toFixed(1)} a second`),
    );
    await scenario('a data plane ends soon while the control plane is away', () => endsInAnOutage(gateway));
  }),
);
