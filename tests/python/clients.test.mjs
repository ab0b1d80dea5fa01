// The official clients of PyPI (requirements.txt) against every kind of upstream: clients.py has what they do,
// tests/e2e/matrix the upstreams and the table. GATEHOUSE_PYTHON names the Python that has them.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { modules, picture, report, said, scenarios, weather } from '../e2e/matrix/kit.mjs';
import { matrix } from '../e2e/matrix/table.mjs';

const program = new URL('clients.py', import.meta.url).pathname;
let lines, child;

function start() {
  child = spawn(process.env.GATEHOUSE_PYTHON ?? 'python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

// One scenario after the other, in one process.
async function ask(client, scenario, t) {
  if (!child) start();
  child.stdin.write(`${JSON.stringify({ ...t, client, scenario, said, weather, report, picture })}\n`);
  const { value, done } = await lines.next();
  if (done) throw new Error('clients.py ended');
  const { ok, message, status } = JSON.parse(value);
  if (!ok) throw Object.assign(new Error(message), { status });
}

const row = (name, dialect, client) => ({
  name,
  dialect,
  close: () => child?.stdin.end(),
  ...Object.fromEntries(Object.keys(scenarios).map((s) => [s, (t) => ask(client, s, t)])),
});

matrix(
  [
    row('openai 3.x chat', 'openai chat', 'OpenAIChat'),
    row('openai 3.x, Azure', 'openai chat', 'AzureChat'),
    row('openai 3.x responses', 'openai responses', 'OpenAIResponses'),
    row('langchain-openai 1.x', 'openai chat', 'LangChain'),
    row('langchain-openai 1.x responses', 'openai responses', 'LangChainResponses'),
    row('anthropic 2.x', 'anthropic', 'Anthropic'),
    row('google-genai 3.x', 'gemini', 'Gemini'),
  ],
  await modules('./upstreams'),
);
