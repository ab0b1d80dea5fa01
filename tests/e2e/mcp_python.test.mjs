// The tool gate and the official Python client, which gives up a session, and all calls in it, for an
// HTTP status of 400 and above. Skipped where PyPI's `mcp` is not there: GATEHOUSE_PYTHON names the
// Python that has it (python3 -m venv, pip install -r tests/e2e/requirements.txt).
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { Gateway, named } from '../kit/node/gateway.mjs';

const python = process.env.GATEHOUSE_PYTHON ?? 'python3';
const program = new URL('../kit/python/mcp_session.py', import.meta.url).pathname;

function hasClient() {
  try {
    execFileSync(python, ['-c', 'import mcp'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const skip = !hasClient() && 'PyPI mcp is not there';
const gateway = new Gateway();
let key;

before(async () => {
  await gateway.create('teams', { name: named('python-team') });
  const agent = await gateway.create('agents', { name: named('python-agent'), team: named('python-team') });
  await gateway.create('grants', { agent: agent.name, server: 'demo-tools', tools: ['echo'] });
  key = await gateway.virtualKey({ agent: agent.name, limits: { rpm: 8 } });
});

test('a session of the Python client lives on when a limit refuses a call', { skip }, async () => {
  const { stdout } = await promisify(execFile)(python, [program, `${gateway.url}/mcp/demo-tools`, key.key], {
    timeout: 60_000,
  });
  const steps = stdout.trim().split('\n').map((line) => JSON.parse(line));
  const of = (step) => steps.filter((s) => s.step === step);
  assert.deepEqual(of('list')[0].tools, ['echo']);
  assert.ok(of('call').length >= 2, stdout);
  assert.equal(of('refused')[0].code, -32000);
  assert.equal(of('refused')[0].data.code, 'rate_limit_exceeded');
  assert.match(of('later')[0].text, /later/);
});
