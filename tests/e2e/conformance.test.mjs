// MCP's own conformance suite, check by check: what a server passes when it is asked directly, it
// passes behind the gateway. The suite sends no credential, so a relay of the test's adds one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { relayWithCredential, serveConformance } from '../kit/node/conformance.mjs';
import { Gateway, named } from '../kit/node/gateway.mjs';

const REVISION = '2025-11-25';
const gateway = new Gateway();
const server = named('conform').slice(0, 31);
const direct = `http://localhost:${gateway.port(34)}/mcp`;
const gate = `http://localhost:${gateway.port(35)}/mcp`;
const suite = new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url).pathname;

let upstream, relay, folder, results;

// { "scenario/check": [["SUCCESS" | "FAILURE" | …, why]] }; what is only INFO is a log of what was sent
async function runSuite(url, out) {
  const child = spawn(process.execPath, [suite, 'server', '--url', url, '--requirements', REVISION, '-o', out], {
    stdio: 'ignore',
  });
  await new Promise((resolve) => child.once('exit', resolve)); // its code is 1 where anything failed
  const found = {};
  for (const name of await readdir(out)) {
    const scenario = name.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const checks = JSON.parse(await readFile(`${out}/${name}/checks.json`, 'utf8'));
    for (const check of checks)
      if (check.status !== 'INFO') (found[`${scenario}/${check.id}`] ??= []).push([check.status, check.errorMessage]);
  }
  return found;
}

before(async () => {
  folder = await mkdtemp(`${tmpdir()}/gatehouse-conformance-`);
  upstream = await serveConformance(gateway.port(34));
  await gateway.create('teams', { name: named('conform-team') });
  const agent = await gateway.create('agents', { name: named('conform-agent'), team: named('conform-team') });
  await gateway.create('mcp-servers', {
    name: server,
    transport: 'streamable-http',
    url: `http://127.0.0.1:${gateway.port(34)}/mcp`,
    allow_cidrs: ['127.0.0.0/8'],
  });
  await gateway.create('grants', { agent: agent.name, server, tools: ['*'] });
  const { key } = await gateway.virtualKey({ agent: agent.name });
  relay = await relayWithCredential(gateway.port(35), `${gateway.url}/mcp/${server}`, key);
  results = { direct: await runSuite(direct, `${folder}/direct`), gate: await runSuite(gate, `${folder}/gate`) };
});

after(async () => {
  for (const each of [upstream, relay]) {
    each?.closeAllConnections();
    each?.close();
  }
  await rm(folder, { recursive: true, force: true });
});

describe('the conformance suite', () => {
  test('the server it is run against passes it, so that it has something to compare', () => {
    const failed = Object.entries(results.direct).filter(([, all]) => all.some(([status]) => status === 'FAILURE'));
    assert.deepEqual(failed, []);
    assert.ok(Object.keys(results.direct).length > 60, `${Object.keys(results.direct).length} checks`);
  });

  test('behind the gateway every check has the result it has directly', () => {
    const names = new Set([...Object.keys(results.gate), ...Object.keys(results.direct)]);
    const statuses = (all) => all?.map(([status]) => status).join();
    const differing = [...names]
      .filter((name) => statuses(results.gate[name]) !== statuses(results.direct[name]))
      .map((name) => ({ name, direct: results.direct[name], gate: results.gate[name] }));
    assert.deepEqual(differing, []);
  });
});
