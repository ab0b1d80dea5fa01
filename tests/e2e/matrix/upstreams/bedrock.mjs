// Amazon Bedrock's Converse, as strict as the real one where translations go wrong: the signature is computed anew,
// turns alternate, each block has one member, and events are framed in binary.
import { createHash, createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage } from '../kit.mjs';

const account = {
  name: 'main',
  access_key_id: 'AKIDEXAMPLE000001',
  secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  session_token: 'token/with+signs==',
  region: 'eu-west-1',
};

// ---- Signature Version 4, as AWS describes it ----

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

function checkSignature(one) {
  const h = one.headers;
  const said = /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(h.authorization);
  demand(said, 'authorization: no signature of version 4');
  const [, credential, names, signature] = said;
  const date = h['x-amz-date'];
  const scope = `${date.slice(0, 8)}/${account.region}/bedrock/aws4_request`;
  demand(credential === `${account.access_key_id}/${scope}`, `credential: ${credential}`);
  demand(Math.abs(Date.now() - Date.parse(date.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'))) < 300_000, `date: ${date}`);
  for (const name of ['host', 'x-amz-date', 'x-amz-security-token']) demand(names.split(';').includes(name), `${name} is not signed`);
  demand(h['x-amz-security-token'] === account.session_token, 'x-amz-security-token');
  // all services but S3 sign the path encoded once more
  const path = one.url.split('/').map((s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)).join('/');
  const headers = names.split(';').map((n) => `${n}:${h[n].trim()}\n`).join('');
  const request = ['POST', path, '', headers, names, sha256(one.body)].join('\n');
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(request)].join('\n');
  const key = scope.split('/').reduce((k, part) => hmac(k, part), `AWS4${account.secret}`);
  demand(hmac(key, text).toString('hex') === signature, 'The request signature we calculated does not match the signature you provided.');
}

// ---- what it takes ----

const top = [
  'messages', 'system', 'inferenceConfig', 'toolConfig', 'outputConfig', 'additionalModelRequestFields',
  'additionalModelResponseFieldPaths', 'guardrailConfig', 'performanceConfig', 'serviceTier', 'requestMetadata', 'promptVariables',
];
const blocks = ['text', 'image', 'document', 'toolUse', 'toolResult', 'reasoningContent', 'cachePoint'];

function checkBlock(b, where) {
  const names = Object.keys(b);
  demand(names.length === 1 && blocks.includes(names[0]), `${where}: not exactly one known member: ${names}`);
  if (b.text !== undefined) demand(b.text.trim(), `${where}.text: The text field in the ContentBlock object is blank.`);
  if (b.image) demand(['png', 'jpeg', 'gif', 'webp'].includes(b.image.format) && b.image.source.bytes, `${where}.image`);
  if (b.toolUse) {
    demand(/^[a-zA-Z0-9_-]{1,64}$/.test(b.toolUse.toolUseId), `${where}.toolUse.toolUseId`);
    demand(b.toolUse.input && typeof b.toolUse.input === 'object', `${where}.toolUse.input: must be an object`);
  }
  if (b.toolResult) b.toolResult.content.forEach((c, i) => demand(c.text?.trim() || c.json || c.image, `${where}.toolResult.content.${i}`));
  if (b.reasoningContent)
    demand(b.reasoningContent.redactedContent || b.reasoningContent.reasoningText?.signature, `${where}.reasoningContent: not signed`);
}

function checkMessages(messages) {
  demand(messages?.length > 0 && messages[0].role === 'user', 'A conversation must start with a user message.');
  let open = [];
  messages.forEach((m, i) => {
    demand(m.role === (i % 2 ? 'assistant' : 'user'), `messages.${i}.role: turns must alternate`);
    demand(m.content.length > 0, `messages.${i}.content: is empty`);
    m.content.forEach((b, j) => checkBlock(b, `messages.${i}.content.${j}`));
    const results = m.content.filter((b) => b.toolResult).map((b) => b.toolResult.toolUseId);
    demand(results.length === open.length && results.every((id) => open.includes(id)), `messages.${i}: results are not those of the calls`);
    demand(m.content.slice(0, results.length).every((b) => b.toolResult), `messages.${i}: results come first`);
    open = m.content.filter((b) => b.toolUse).map((b) => b.toolUse.toolUseId);
  });
  demand(open.length === 0, 'messages: the last toolUse has no result');
}

function check(body) {
  only(body, top, 'body');
  only(body.inferenceConfig ?? {}, ['maxTokens', 'temperature', 'topP', 'stopSequences'], 'inferenceConfig');
  checkMessages(body.messages);
  const hasTools = body.messages.some((m) => m.content.some((b) => b.toolUse || b.toolResult));
  demand(!hasTools || body.toolConfig?.tools.length, 'The toolConfig field must be defined when using toolUse and toolResult content blocks.');
  for (const t of body.toolConfig?.tools ?? []) {
    demand(t.toolSpec.description !== '', 'toolSpec.description: length must be 1 at least');
    demand(t.toolSpec.inputSchema.json.type === 'object', 'toolSpec.inputSchema.json.type must be object');
  }
  const thinking = body.additionalModelRequestFields?.thinking;
  if (thinking?.type === 'enabled') demand(thinking.budget_tokens < body.inferenceConfig.maxTokens, 'thinking.budget_tokens');
}

function shows(body) {
  const all = body.messages.flatMap((m) => m.content);
  const text = body.outputConfig?.textFormat?.structure.jsonSchema.schema;
  return {
    system: (body.system ?? []).map((b) => b.text ?? '').join(''),
    image: all.find((b) => b.image)?.image.source.bytes,
    schema: text ? JSON.parse(text) : body.additionalModelRequestFields?.output_config?.format?.schema,
    results: all.filter((b) => b.toolResult).map((b) => b.toolResult.content.map((c) => c.text ?? '').join('')),
  };
}

// ---- what it says ----

const reasons = { stop: 'end_turn', calls: 'tool_use' };
const counts = {
  usage: {
    inputTokens: usage.fresh, outputTokens: usage.output, totalTokens: usage.fresh + usage.cached + usage.output,
    cacheReadInputTokens: usage.cached, cacheWriteInputTokens: 0,
  },
  metrics: { latencyMs: 5 },
};

function content(p) {
  const list = [];
  if (p.reasoning) list.push({ reasoningContent: { reasoningText: { text: p.reasoning.join(''), signature: 'c2VhbGVk' } } });
  if (p.text) list.push({ text: p.text.join('') });
  for (const c of p.calls ?? []) list.push({ toolUse: { toolUseId: c.id, name: c.name, input: JSON.parse(c.arguments.join('')) } });
  return list;
}

function frame(kind, type, payload) {
  const headers = Buffer.concat(
    [[kind === 'exception' ? ':exception-type' : ':event-type', type], [':content-type', 'application/json'], [':message-type', kind]].map(
      ([name, value]) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7, 0, value.length]), Buffer.from(value)]),
    ),
  );
  const body = Buffer.from(JSON.stringify(payload));
  const out = Buffer.alloc(16 + headers.length + body.length);
  out.writeUInt32BE(out.length, 0);
  out.writeUInt32BE(headers.length, 4);
  out.writeUInt32BE(crc32(out.subarray(0, 8)), 8);
  headers.copy(out, 12);
  body.copy(out, 12 + headers.length);
  out.writeUInt32BE(crc32(out.subarray(0, out.length - 4)), out.length - 4);
  return out;
}

async function stream(res, p) {
  res.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
  const frames = [frame('event', 'messageStart', { role: 'assistant', p: 'abcdef' })];
  const send = (type, payload) => frames.push(frame('event', type, { ...payload, p: 'abc' }));
  let contentBlockIndex = 0;
  const block = (deltas, start) => {
    if (start) send('contentBlockStart', { contentBlockIndex, start });
    for (const delta of deltas) send('contentBlockDelta', { contentBlockIndex, delta });
    send('contentBlockStop', { contentBlockIndex });
    contentBlockIndex++;
  };
  if (p.reasoning)
    block([...p.reasoning.map((text) => ({ reasoningContent: { text } })), { reasoningContent: { signature: 'c2VhbGVk' } }]);
  if (p.breaks || p.hangs) {
    send('contentBlockDelta', { contentBlockIndex, delta: { text: p.text[0] } });
    if (p.breaks) frames.push(frame('exception', 'modelStreamErrorException', { message: said.overloaded }));
  } else {
    if (p.text) block(p.text.map((text) => ({ text })));
    for (const c of p.calls ?? [])
      block(c.arguments.map((input) => ({ toolUse: { input } })), { toolUse: { toolUseId: c.id, name: c.name } });
    send('messageStop', { stopReason: reasons[p.finish] });
    send('metadata', counts);
  }
  // sockets cut where they like
  const all = Buffer.concat(frames);
  for (let i = 0; i < all.length; i += 61) {
    res.write(all.subarray(i, i + 61));
    if (i % 7 === 0) await new Promise(setImmediate);
  }
  if (p.hangs) return hang(res);
  res.end();
}

const fail = (res, status, type, message, headers) =>
  sendJson(res, status, { message }, { 'x-amzn-errortype': `${type}:http://internal.amazon.com/coral/`, 'x-amzn-requestid': 'req-mock', ...headers });

function answer(one, res) {
  try {
    checkSignature(one);
    const [, , model, verb] = one.url.split('/').map(decodeURIComponent);
    demand(['converse', 'converse-stream'].includes(verb), `no such path: ${one.url}`);
    const body = JSON.parse(one.body);
    check(body);
    const found = shows(body);
    const scenario = scenarioOf(model);
    const p = plan(scenario, found.results);
    if (p.status) return fail(res, p.status, 'ThrottlingException', said.limited, { 'retry-after': '1' });
    demandScenario(scenario, found, body);
    if (verb === 'converse-stream') return stream(res, p);
    if (p.breaks) return fail(res, 503, 'ServiceUnavailableException', said.overloaded);
    sendJson(res, 200, { output: { message: { role: 'assistant', content: content(p) } }, stopReason: reasons[p.finish], ...counts });
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, 'ValidationException', e.message);
  }
}

const provider = (url) => ({ dialect: 'bedrock', base_url: url, credentials: [account] });

export default [
  { name: 'bedrock', answer, model: 'eu.anthropic.claude-sonnet-4-6-v1:0', provider },
  { name: 'bedrock-nova', answer, model: 'us.amazon.nova-pro-v1:0', provider },
];
