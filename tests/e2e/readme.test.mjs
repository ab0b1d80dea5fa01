// The program of README.md that asks one question with three SDKs works as pasted, with this installation's address
// and key in it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Gateway } from '../kit/node/gateway.mjs';

const page = new URL('../../README.md', import.meta.url);
const program = new URL(`./readme-${process.pid}.mjs`, import.meta.url);
after(() => rm(program, { force: true }));

test('one question is asked with three SDKs, of models in three dialects', { timeout: 60_000 }, async () => {
  const gateway = new Gateway();
  const models = ['demo-claude', 'demo-gemini', 'demo-fallback', 'demo-chat'];
  const { key } = await gateway.virtualKey({ models });
  const text = await readFile(page, 'utf8');
  const pasted = /<!-- three sdks -->\n```js\n(.*?)```/s.exec(text)?.[1];
  assert.ok(pasted, 'README.md has no such program any more');
  // the package stands here under another name, as its older major does too
  await writeFile(
    program,
    pasted.replace('http://127.0.0.1:8080', gateway.url).replace('gh-…', key).replace("'@google/genai'", "'google-genai-3'"),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [program.pathname]);
  const said = 'The demo provider answers every question with the same few words. ';
  for (const model of models) assert.match(stdout, new RegExp(`${model} \\[\\s*('${said}The ',?\\s*){3}\\]`));
});

test('a fallback from one dialect to another says so', async () => {
  const gateway = new Gateway();
  const { key } = await gateway.virtualKey({ models: ['demo-fallback'] });
  const got = await fetch(`${gateway.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ model: 'demo-fallback', max_tokens: 64, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  assert.equal(got.status, 200);
  assert.equal(got.headers.get('x-gatehouse-attempts'), '2');
  assert.equal(got.headers.get('x-gatehouse-provider'), 'demo-gemini');
});
