// An installation of the test's own: raised by ./gatehouse up, and ended whatever happens.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { Gateway, root, until } from './gateway.mjs';

function gatehouse(place, args) {
  const env = { ...process.env, GATEHOUSE_HOME: place.home, GATEHOUSE_PORT_BASE: String(place.base) };
  if (place.build) env.GATEHOUSE_BUILD = place.build;
  return new Promise((resolve, reject) => {
    const child = spawn(`${root}/gatehouse`, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (data) => (said += data));
    child.stderr.on('data', (data) => (said += data));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(said) : reject(new Error(`gatehouse ${args.join(' ')}: exit code ${code}\n${said.slice(-4000)}`)),
    );
  });
}

// place: {home, base, build}. Runs `work(gateway)` between up and down.
export async function withInstallation(place, planes, work) {
  let ending = null;
  const down = () => (ending ??= gatehouse(place, ['down']));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => down().finally(() => process.exit(1)));
  try {
    await gatehouse(place, ['up', '--dataplanes', String(planes)]);
    return await work(Gateway.at(place.home));
  } finally {
    await down();
  }
}

// ---- processes that stay away for a while ----

const entry = (gateway, rank, name) => `${gateway.place}/run/processes/${rank}-${name}`;
const supervisor = (gateway) => Number(readFileSync(`${gateway.place}/run/supervisor.pid`, 'utf8'));

// Killed outright, and not started again before `release`.
export async function hold(gateway, rank, name) {
  renameSync(entry(gateway, rank, name), `${gateway.place}/run/.held-${rank}-${name}`);
  gateway.kill(name, 'SIGKILL');
  process.kill(supervisor(gateway), 'SIGHUP');
  await until(() => !gateway.processes().some((p) => p.name === name && p.state === 'running'), 20, `${name} away`);
}

export async function release(gateway, rank, name) {
  const held = `${gateway.place}/run/.held-${rank}-${name}`;
  if (!existsSync(held)) return;
  renameSync(held, entry(gateway, rank, name));
  process.kill(supervisor(gateway), 'SIGHUP');
  await until(() => gateway.processes().some((p) => p.name === name && p.state === 'running'), 20, `${name} back`);
}
