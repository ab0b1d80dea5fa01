// A running installation, as its tests see it: the admin API, what the demo provider would bill,
// the processes, and waiting for what comes a little later.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

// Names of deleted things stay reserved, so each run has its own.
export const run = randomBytes(4).toString('hex');
export const named = (name) => `${name}-${run}`;

const PLANE_TELLS_MS = 600; // twice what a plane takes, and a little

export const root = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');

// `until(f, 5, 'spans')`: what f gives once it gives something, or an error that says what was missing.
export async function until(f, seconds, what) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const got = await f();
    if (got) return got;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(20);
  }
}

// Money is integer nano-dollars here as well: floats cannot be compared to the cent.
export const nano = (usd) => {
  const [whole, part = ''] = String(usd).split('.');
  return BigInt(whole) * 1_000_000_000n + BigInt((part + '000000000').slice(0, 9));
};

export const newTrace = () => randomBytes(16).toString('hex');
export const traceparent = (trace) => `00-${trace}-${randomBytes(8).toString('hex')}-01`;

// KEY=VALUE lines, values perhaps in single quotes.
function readEnvironment(file) {
  const env = {};
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line);
    if (match) env[match[1]] = match[2].replace(/^'(.*)'$/, '$1');
  }
  return env;
}

export class Gateway {
  constructor(env = process.env) {
    for (const name of ['GATEHOUSE_URL', 'GATEHOUSE_ADMIN_URL', 'GATEHOUSE_ADMIN_TOKEN', 'GATEHOUSE_KEY'])
      assert.ok(env[name], `${name} must be set: the tests run against an installation`);
    this.home = env.GATEHOUSE_HOME;
    this.url = env.GATEHOUSE_URL;
    this.urls = (env.GATEHOUSE_URLS ?? env.GATEHOUSE_URL).split(' ');
    this.adminUrl = env.GATEHOUSE_ADMIN_URL;
    this.token = env.GATEHOUSE_ADMIN_TOKEN;
    this.key = env.GATEHOUSE_KEY;
    this.databaseUrl = env.GATEHOUSE_DATABASE_URL;
    this.base = Number(new URL(this.url).port);
    this.providerUrl = `http://127.0.0.1:${this.base + 5}`;
    this.demoApiUrl = `http://127.0.0.1:${this.base + 7}`;
  }

  static at(home) {
    return new Gateway({ ...readEnvironment(`${home}/gatehouse.env`), GATEHOUSE_HOME: home });
  }

  // Ports behind those of the planes, for upstreams of the tests' own.
  port(n) {
    return this.base + 60 + n;
  }

  // ---- the admin API ----

  async admin(method, path, body) {
    const answer = await fetch(`${this.adminUrl}/admin/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    let json = null;
    try {
      json = JSON.parse(text);
    } catch {
      // the caller looks at the status
    }
    return { status: answer.status, headers: answer.headers, text, json };
  }

  async get(path) {
    const answer = await this.admin('GET', path);
    assert.equal(answer.status, 200, `GET ${path}: ${answer.text}`);
    return answer.json;
  }

  // Made, and applied by every data plane.
  async create(plural, body) {
    const answer = await this.admin('POST', `${plural}?wait=applied`, body);
    assert.equal(answer.status, 201, `${plural}: ${answer.text}`);
    assert.equal(answer.headers.get('x-gatehouse-applied'), 'all', plural);
    return answer.json;
  }

  async all(path) {
    const items = [];
    let cursor = null;
    do {
      const page = await this.get(
        `${path}${path.includes('?') ? '&' : '?'}limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
      );
      items.push(...page.items);
      cursor = page.next;
    } while (cursor);
    return items;
  }

  // The demo's model provider under a name of this run. Models name how it behaves (scenario.h).
  async provider(name = 'prov', baseUrl = `${this.providerUrl}/v1`, secret = `sk-upstream-${run}`) {
    return this.create('providers', {
      name: named(name),
      dialect: 'openai',
      base_url: baseUrl,
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret }],
    });
  }

  async model(name, scenario = '', more = {}) {
    return this.create('models', {
      name: named(name),
      targets: [{ provider: named('prov'), model: `demo-chat${scenario}` }],
      price: { input_per_mtok: 0.15, output_per_mtok: 0.6 },
      max_output_tokens: 4096,
      ...more,
    });
  }

  async virtualKey(more = {}) {
    return this.create('keys', { name: `key-${randomBytes(4).toString('hex')}-${run}`, models: ['*'], ...more });
  }

  // ---- what was recorded, and what was billed ----

  // The spans of one trace, its call first; waits until the call has arrived.
  async trace(trace, session) {
    return until(
      async () => {
        const answer = await this.admin('GET', `sessions/${session}/spans?limit=200`);
        const spans = (answer.json?.items ?? []).filter((s) => s.trace_id === trace);
        const call = spans.find((s) => s.kind === 'call');
        return call && [call, ...spans.filter((s) => s !== call)];
      },
      10,
      `the spans of trace ${trace}`,
    );
  }

  async ledger() {
    const answer = await fetch(`${this.providerUrl}/ledger`);
    assert.equal(answer.status, 200);
    return (await answer.json()).entries.map((e) => ({ ...e, trace: e.traceparent.slice(3, 35) }));
  }

  async ledgerOf(trace) {
    return (await this.ledger()).filter((e) => e.trace === trace);
  }

  // ---- processes ----

  get place() {
    const file = `${this.home}/place`;
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : this.home;
  }

  processes() {
    const rows = readFileSync(`${this.place}/run/status`, 'utf8').trim().split('\n');
    return rows.map((row) => {
      const [name, pid, state, restarts] = row.split(' ');
      return { name, pid: Number(pid), state, restarts: Number(restarts) };
    });
  }

  process(name) {
    const found = this.processes().find((p) => p.name === name);
    assert.ok(found, `there is no process ${name}`);
    return found;
  }

  // Resident bytes of a process.
  resident(name) {
    const status = readFileSync(`/proc/${this.process(name).pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  }

  kill(name, signal = 'SIGKILL') {
    const { pid } = this.process(name);
    process.kill(pid, signal);
    return pid;
  }

  // Runs again after `pid` has gone.
  async back(name, pid, seconds = 30) {
    await until(
      () => {
        const p = this.processes().find((x) => x.name === name);
        return p && p.state === 'running' && p.pid !== pid;
      },
      seconds,
      `${name} after its end`,
    );
  }

  async ready(url, seconds = 30) {
    await until(async () => (await answers(`${url}/readyz`)) === 200, seconds, `${url} ready`);
  }

  async metric(plane, name) {
    const url = new URL(this.urls[plane]);
    const text = await (await fetch(`http://127.0.0.1:${Number(url.port) + 4}/metrics`)).text();
    const row = text.split('\n').find((line) => line.startsWith(`${name} `));
    assert.ok(row, `there is no metric ${name}`);
    return Number(row.slice(name.length + 1));
  }

  // Every plane has shipped its journal. The planes tell their state a few times a second: what was
  // written just now is not in it yet.
  async shipped(seconds = 30) {
    await sleep(PLANE_TELLS_MS);
    for (let i = 0; i < this.urls.length; i++)
      await until(
        async () => (await this.metric(i, 'gatehouse_journal_waiting')) === 0,
        seconds,
        `the journal of plane ${i + 1} shipped`,
      );
  }

  async psql(sql) {
    const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
      env: { ...process.env, ...postgresEnvironment(this.databaseUrl) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    let wrong = '';
    child.stdout.on('data', (data) => (said += data));
    child.stderr.on('data', (data) => (wrong += data));
    child.stdin.end(sql);
    const [code] = await once(child, 'close');
    assert.equal(code, 0, wrong);
    return said.trim();
  }
}

// Arguments can be read by everybody on the machine; the environment cannot.
export function postgresEnvironment(text) {
  const url = new URL(text);
  return {
    PGHOST: url.hostname,
    PGPORT: url.port,
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: url.pathname.slice(1),
  };
}

export async function answers(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}
