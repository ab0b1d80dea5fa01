// What an installation costs that nobody uses: how often the threads of its processes wake.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withInstallation } from '../../kit/node/installation.mjs';
import { play, plays } from '../../kit/node/plays.mjs';

const SETTLE_MS = 8000; // the enrolment, the first listings and the first leases are over
const SECONDS = 10;
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
  }),
);
