// Anthropic's Python client; no row where it is not there: GATEHOUSE_PYTHON names the Python that has it.
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { picture, report, said, scenarios, weather } from '../kit.mjs';

const python = process.env.GATEHOUSE_PYTHON ?? 'python3';
const program = new URL('../../../kit/python/anthropic_matrix.py', import.meta.url).pathname;

function hasClient() {
  try {
    execFileSync(python, ['-c', 'import anthropic'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let lines, child;

function start() {
  child = spawn(python, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

// One scenario after the other, in one process.
async function ask(scenario, t) {
  if (!child) start();
  child.stdin.write(`${JSON.stringify({ ...t, scenario, said, weather, report, picture })}\n`);
  const { value } = await lines.next();
  const { ok, message, status } = JSON.parse(value);
  if (!ok) throw Object.assign(new Error(message), { status });
}

const row = { name: 'anthropic 2.x (Python)', close: () => child?.stdin.end() };
for (const scenario of Object.keys(scenarios)) row[scenario] = (t) => ask(scenario, t);

export default hasClient() ? [row] : [];
