// Programs of the first stage (commit 1910481) and of today side by side.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { answers, nano, postgresEnvironment, root, until } from '../kit/node/gateway.mjs';
import { scenario, scenarios } from '../kit/node/scenarios.mjs';

const [build, scratch, base] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const server = process.env.GATEHOUSE_TEST_DATABASE_URL;

const WITHIN_MS = 100; // from the response to the revocation to the first 401
const PROVIDER = base + 40;

const NEW = { bin: `${build}/bin`, migrations: `${root}/migrations` };
const SAMPLE = { bin: `${scratch}/sample/build/release/bin`, migrations: `${scratch}/sample/migrations` };
const FIRST = { bin: `${scratch}/first/build/release/bin`, migrations: `${scratch}/first/migrations` };

// ---- processes ----

const running = [];

function start(program, log, env) {
  const out = openSync(`${scratch}/${log}.log`, 'a');
  const child = spawn(program, [], {
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8', GATEHOUSE_TEST_RUN: process.env.GATEHOUSE_TEST_RUN ?? '', ...env },
    stdio: ['ignore', out, out],
  });
  closeSync(out);
  running.push(child);
  return child;
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15000);
  await closed;
  clearTimeout(late);
}

const endAll = () => Promise.all(running.splice(0).map(end));

async function sql(url, text) {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
    env: { ...process.env, ...postgresEnvironment(url) },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let wrong = '';
  child.stderr.on('data', (data) => (wrong += data));
  child.stdin.end(text);
  const [code] = await once(child, 'close');
  assert.equal(code, 0, wrong);
}

// ---- one control plane and one data plane ----

class Pair {
  // rank: which ten ports behind the base are its own
  constructor(name, rank, control, plane) {
    Object.assign(this, { name, control, plane });
    this.port = base + 10 * rank;
    this.url = `http://127.0.0.1:${this.port}`;
    this.adminUrl = `http://127.0.0.1:${this.port + 1}`;
    this.folder = `${scratch}/${name}`;
  }

  file(name) {
    return `${this.folder}/${name}`;
  }

  async raise() {
    for (const name of ['', '/control', '/plane']) mkdirSync(this.folder + name, { mode: 0o700 });
    await this.makeDatabase();
    for (const key of ['master.key', 'state.key'])
      writeFileSync(this.file(key), randomBytes(32).toString('hex'), { mode: 0o600 });
    start(`${this.control.bin}/gatehouse-controlplane`, `${this.name}-controlplane`, {
      ...this.channel(),
      GATEHOUSE_ADMIN_LISTEN: `127.0.0.1:${this.port + 1}`,
      GATEHOUSE_DATABASE_URL: this.databaseUrl('run'),
      GATEHOUSE_DATABASE_OWNER_URL: this.databaseUrl('owner'),
      GATEHOUSE_MASTER_KEY_FILE: this.file('master.key'),
      GATEHOUSE_ADMIN_TOKEN_FILE: this.file('admin.token'),
      GATEHOUSE_STATE_DIR: this.file('control'),
      GATEHOUSE_MIGRATIONS_DIR: this.control.migrations,
    });
    await until(async () => (await answers(`${this.adminUrl}/readyz`)) === 200, 60, `the control plane of ${this.name}`);
    this.token = readFileSync(this.file('admin.token'), 'utf8').trim();
    const made = await this.create('dataplanes', { name: 'dp-1' });
    writeFileSync(this.file('enrol.token'), made.enrolment_token, { mode: 0o600 });
    this.process = start(`${this.plane.bin}/gatehouse-dataplane`, `${this.name}-dataplane`, {
      ...this.channel(),
      GATEHOUSE_LISTEN: `127.0.0.1:${this.port}`,
      GATEHOUSE_METRICS_LISTEN: `127.0.0.1:${this.port + 4}`,
      GATEHOUSE_ADMIN_URL: this.adminUrl,
      GATEHOUSE_ENROLMENT_TOKEN_FILE: this.file('enrol.token'),
      GATEHOUSE_STATE_DIR: this.file('plane'),
      GATEHOUSE_STATE_KEY_FILE: this.file('state.key'),
      GATEHOUSE_WORKERS: '2',
    });
    await until(async () => (await answers(`${this.url}/readyz`)) === 200, 60, `the data plane of ${this.name}`);
    await this.furnish();
  }

  channel() {
    return {
      GATEHOUSE_CHANNEL_PUSH: `127.0.0.1:${this.port + 2}`,
      GATEHOUSE_CHANNEL_REQUEST: `127.0.0.1:${this.port + 3}`,
    };
  }

  async makeDatabase() {
    this.password = randomBytes(12).toString('hex');
    const role = `skew_${this.name}`;
    await sql(
      server,
      `create role ${role}_owner login password '${this.password}';
       create role ${role}_run login password '${this.password}';`,
    );
    await sql(server, `create database ${role} owner ${role}_owner;`);
    await sql(server, `grant connect on database ${role} to ${role}_run;`);
  }

  databaseUrl(who) {
    const url = new URL(server);
    url.username = `skew_${this.name}_${who}`;
    url.password = this.password;
    url.pathname = `/skew_${this.name}`;
    return String(url);
  }

  async furnish() {
    await this.create('providers', {
      name: 'demo',
      dialect: 'openai',
      base_url: `http://127.0.0.1:${PROVIDER}/v1`,
      allow_cidrs: ['127.0.0.0/8'],
      credentials: [{ name: 'main', secret: 'sk-demo' }],
    });
    await this.create('models', {
      name: 'demo-chat',
      targets: [{ provider: 'demo', model: 'demo-chat' }],
      price: { input_per_mtok: 0.15, output_per_mtok: 0.6 },
      max_output_tokens: 4096,
    });
    await this.create('teams', { name: 'research', models: ['*'] });
    await this.create('agents', { name: 'bot', team: 'research' });
  }

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
    return { status: answer.status, headers: answer.headers, text, json: text ? JSON.parse(text) : null };
  }

  // Made, and applied by the data plane where there is one.
  async create(plural, body) {
    const answer = await this.admin('POST', `${plural}?wait=applied`, body);
    assert.equal(answer.status, 201, `${plural}: ${answer.text}`);
    assert.equal(answer.headers.get('x-gatehouse-applied'), 'all', `${plural}: ${answer.headers.get('x-gatehouse-applied')}`);
    return answer.json;
  }

  async change(method, path, body) {
    const answer = await this.admin(method, `${path}?wait=applied`, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
    assert.equal(answer.headers.get('x-gatehouse-applied'), 'all', path);
    return answer.json;
  }

  key(name, more = { agent: 'bot' }) {
    return this.create('keys', { name, models: ['*'], ...more });
  }

  async chat(key, model = 'demo-chat') {
    const answer = await fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, max_tokens: 20, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  }

  async plane1() {
    return (await this.admin('GET', 'rollout')).json.dataplanes.find((p) => p.name === 'dp-1');
  }
}

async function serves(pair, key) {
  const answer = await pair.chat(key);
  assert.equal(answer.status, 200, answer.text);
}

async function refuses(pair, key) {
  const answer = await pair.chat(key);
  assert.equal(answer.status, 401, answer.text);
}

// ---- what holds for both pairs ----

async function common(pair) {
  await scenario(`${pair.name}: calls are served, under a budget as well, and recorded with their cost`, async () => {
    const plain = await pair.key('plain');
    const budgeted = await pair.key('budgeted', { agent: 'bot', budget: { limit_usd: 5, period: 'day' }, limits: { rpm: 600, parallel: 4 } });
    for (const k of [plain, budgeted]) for (let i = 0; i < 3; i++) await serves(pair, k.key);
    await until(
      async () => {
        const { items } = (await pair.admin('GET', 'spend?group_by=key')).json;
        const rows = items.filter((row) => [plain.id, budgeted.id].includes(row.id));
        return rows.length === 2 && rows.every((row) => row.calls === 3 && nano(row.cost_usd) > 0n);
      },
      20,
      'three calls of each key, with their cost',
    );
  });

  await scenario(`${pair.name}: a revoked key is refused within ${WITHIN_MS} ms`, async () => {
    const took = [];
    for (let i = 0; i < 10; i++) {
      const key = await pair.key(`revoked-${i}`);
      await serves(pair, key.key);
      await pair.change('POST', `keys/${key.id}/revoke`);
      const from = performance.now();
      await until(async () => (await pair.chat(key.key)).status === 401, 10, 'a 401');
      took.push(performance.now() - from);
      await refuses(pair, key.key);
    }
    console.log(`      at the worst ${Math.max(...took).toFixed(0)} ms`);
    assert.ok(Math.max(...took) <= WITHIN_MS, `${took.map((ms) => ms.toFixed(0))}`);
  });

  await scenario(`${pair.name}: the data plane goes on with what it kept on disk`, async () => {
    const key = await pair.key('kept');
    await end(pair.process);
    pair.process = start(`${pair.plane.bin}/gatehouse-dataplane`, `${pair.name}-dataplane`, {
      ...pair.channel(),
      GATEHOUSE_LISTEN: `127.0.0.1:${pair.port}`,
      GATEHOUSE_METRICS_LISTEN: `127.0.0.1:${pair.port + 4}`,
      GATEHOUSE_ADMIN_URL: pair.adminUrl,
      GATEHOUSE_STATE_DIR: pair.file('plane'),
      GATEHOUSE_STATE_KEY_FILE: pair.file('state.key'),
      GATEHOUSE_WORKERS: '2',
    });
    await until(async () => (await answers(`${pair.url}/readyz`)) === 200, 30, 'the data plane again');
    await serves(pair, key.key);
    await until(async () => (await pair.plane1()).lag === 0, 10, 'the newest version applied');
    await pair.change('POST', `keys/${key.id}/revoke`);
    await refuses(pair, key.key);
  });
}

// ---- what only an older data plane shows ----

// What is withheld beyond the catalogues, which the first stage does not know at all.
async function withheldBeyond(pair, before) {
  const { objects, features } = (await pair.plane1()).withheld ?? before;
  const beyond = { objects: objects - before.objects, features: features.filter((f) => !before.features.includes(f)) };
  return beyond.objects || beyond.features.length ? beyond : undefined;
}

async function withheld(pair) {
  const before = (await pair.plane1()).withheld ?? { objects: 0, features: [] };
  await scenario(`${pair.name}: an unknown kind is withheld, and the key it restricts is denied`, async () => {
    const warded = await pair.key('warded');
    const free = await pair.key('free');
    await serves(pair, warded.key);
    const ward = await pair.create('wards', { name: 'ward-1', key: 'warded' });
    await refuses(pair, warded.key);
    await serves(pair, free.key);
    const row = await pair.plane1();
    assert.deepEqual(await withheldBeyond(pair, before), { objects: 2, features: ['kind.43'] });
    assert.equal(row.lag, 0);
    assert.equal(row.refused, undefined);

    await pair.change('POST', `keys/${free.id}/revoke`);
    await refuses(pair, free.key);

    await pair.change('DELETE', `wards/${ward.id}`);
    await serves(pair, warded.key);
    assert.equal(await withheldBeyond(pair, before), undefined);
  });

  await scenario(`${pair.name}: an object that needs an unknown feature is withheld with what depends on it`, async () => {
    await pair.create('agents', { name: 'careful', team: 'research' });
    const own = await pair.key('of-careful', { agent: 'careful' });
    const other = await pair.key('of-bot');
    await serves(pair, own.key);
    await pair.change('PATCH', 'agents/careful', { sample: true });
    await refuses(pair, own.key);
    await serves(pair, other.key);
    assert.deepEqual(await withheldBeyond(pair, before), { objects: 2, features: ['agent.sample'] });
    await pair.change('PATCH', 'agents/careful', { sample: null });
    await serves(pair, own.key);
  });

  await scenario(`${pair.name}: a provider that the plane cannot speak with is withheld, and a model goes by the others`, async () => {
    const base_url = `http://127.0.0.1:${PROVIDER}/v1`;
    await pair.create('providers', { name: 'other', dialect: 'anthropic', base_url, allow_cidrs: ['127.0.0.0/8'], credentials: [{ name: 'main', secret: 'sk' }] });
    const price = { input_per_mtok: 1, output_per_mtok: 1 };
    const other = { provider: 'other', model: 'demo-chat' };
    await pair.create('models', { name: 'only-other', price, targets: [other], max_output_tokens: 64 });
    await pair.create('models', { name: 'both', price, targets: [other, { provider: 'demo', model: 'demo-chat' }], max_output_tokens: 64 });
    const key = await pair.key('of-both');
    assert.equal((await pair.chat(key.key, 'only-other')).status, 404);
    assert.equal((await pair.chat(key.key, 'both')).status, 200);
    assert.deepEqual(await withheldBeyond(pair, before), { objects: 2, features: ['provider.anthropic'] });
    for (const name of ['models/only-other', 'models/both', 'providers/other']) await pair.change('DELETE', name);
  });

  await scenario(`${pair.name}: no dialect that the plane does not know reaches it, nor a service's quirks`, async () => {
    const credentials = [{ name: 'main', secret: 'sk', region: 'eu-west-1' }];
    const price = { input_per_mtok: 1, output_per_mtok: 1 };
    const dialects = ['azure', 'bedrock', 'cohere', 'gemini', 'mistral', 'ollama', 'vertex'];
    const key = await pair.key('of-others');
    for (const [name, more] of [...dialects.map((d) => [d, { dialect: d }]), ['quirks', { dialect: 'openai', quirks: 'groq' }]]) {
      await pair.create('providers', { name, base_url: `http://127.0.0.1:${PROVIDER}/v1`, allow_cidrs: ['127.0.0.0/8'], credentials, ...more });
      await pair.create('models', { name, price, targets: [{ provider: name, model: 'demo-chat' }], max_output_tokens: 64 });
      assert.equal((await pair.chat(key.key, name)).status, 404, name);
      assert.deepEqual(await withheldBeyond(pair, before), { objects: 2, features: [`provider.${name}`] });
      for (const path of [`models/${name}`, `providers/${name}`]) await pair.change('DELETE', path);
    }
  });

  await scenario(`${pair.name}: a provider of another pool is withheld, and its models are unknown`, async () => {
    await pair.create('pools', { name: 'elsewhere' });
    const key = await pair.key('of-here');
    await pair.change('PATCH', 'providers/demo', { pools: ['elsewhere'] });
    assert.equal((await pair.chat(key.key)).status, 404);
    await pair.change('PATCH', 'providers/demo', { pools: ['elsewhere', 'default'] });
    await serves(pair, key.key);
  });
}

async function main() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => endAll().finally(() => process.exit(1)));
  try {
    start(`${build}/bin/demo-provider`, 'provider', { GATEHOUSE_DEMO_LISTEN: `127.0.0.1:${PROVIDER}` });
    const older = new Pair('older_plane', 1, SAMPLE, FIRST);
    const newer = new Pair('older_control', 2, FIRST, NEW);
    await Promise.all([older.raise(), newer.raise()]);
    await common(older);
    await withheld(older);
    await common(newer);
  } finally {
    await endAll();
  }
}

scenarios(main);
