// What an installation costs that nobody uses: how often the threads of its processes wake.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { hold, release, withInstallation } from '../../kit/node/installation.mjs';
import { named, until } from '../../kit/node/house.mjs';
import { play, plays } from '../../kit/node/plays.mjs';

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

async function wakes(house, name) {
  const { pid } = house.process(name);
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
async function endsInAnOutage(house) {
  await house.provider();
  await house.model('outage', '?chunks=2');
  await house.create('teams', { name: named('outage') });
  await house.create('grants', { team: named('outage'), models: [named('outage')] });
  const { key } = await house.virtualKey({ team: named('outage'), budget: { limit_usd: 5, period: 'day' } });
  const call = async () => {
    const response = await fetch(`${house.urls[0]}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: named('outage'), max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    await response.text();
    return response.status === 200;
  };
  await until(call, 20, 'a call that takes a lease');
  await hold(house, 30, 'controlplane');
  await sleep(1500); // the plane knows that it is alone
  const pid = house.kill('dp-1', 'SIGTERM');
  const began = performance.now();
  await until(() => !existsSync(`/proc/${pid}`), END_S, 'the end of dp-1');
  console.log(`      dp-1 ended ${((performance.now() - began) / 1000).toFixed(1)} s after SIGTERM`);
  await release(house, 30, 'controlplane');
}

const [build, home, base] = process.argv.slice(2);
plays(() =>
  withInstallation({ home, base: Number(base), build }, 1, async (house) => {
    await sleep(SETTLE_MS);
    const [plane, control] = await Promise.all([wakes(house, 'dp-1'), wakes(house, 'controlplane')]);
    await play(`an idle data plane wakes less than ${WAKES} times a second`, async () =>
      assert.ok(plane < WAKES, `${plane.toFixed(1)} a second`),
    );
    await play(`an idle control plane wakes less than ${WAKES} times a second`, async () =>
      assert.ok(control < WAKES, `${control.toFixed(1)} a second`),
    );
    await play('a data plane ends soon while the control plane is away', () => endsInAnOutage(house));
  }),
);
