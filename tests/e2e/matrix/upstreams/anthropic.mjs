// Anthropic's Messages API, as strict as the real one where translations go wrong.
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage } from '../kit.mjs';

const top = [
  'model', 'max_tokens', 'messages', 'system', 'stop_sequences', 'stream', 'tools', 'tool_choice', 'thinking',
  'output_config', 'metadata', 'service_tier', 'temperature', 'top_p', 'top_k', 'cache_control', 'context_management',
];
const blocks = {
  text: ['type', 'text', 'cache_control', 'citations'],
  image: ['type', 'source', 'cache_control'],
  document: ['type', 'source', 'title', 'context', 'citations', 'cache_control'],
  tool_use: ['type', 'id', 'name', 'input', 'cache_control'],
  tool_result: ['type', 'tool_use_id', 'content', 'is_error', 'cache_control'],
  thinking: ['type', 'thinking', 'signature'],
  redacted_thinking: ['type', 'data'],
};

function checkBlock(b, where) {
  demand(blocks[b.type], `${where}.type: unknown`);
  only(b, blocks[b.type], where);
  if (b.type === 'text') demand(b.text.trim(), `${where}.text: must be non-empty`);
  if (b.type === 'tool_use') {
    demand(/^[a-zA-Z0-9_-]+$/.test(b.id), `${where}.id: must match ^[a-zA-Z0-9_-]+$`);
    demand(b.input && typeof b.input === 'object' && !Array.isArray(b.input), `${where}.input: must be an object`);
  }
  if (b.type === 'image' && b.source.type === 'base64')
    demand(['image/jpeg', 'image/png', 'image/gif', 'image/webp'].includes(b.source.media_type), `${where}: media type`);
  if (b.type === 'thinking') demand(b.signature, `${where}.signature: must be given`);
}

const listOf = (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : content);

// Each tool_use is followed by one message that begins with all of its results.
function checkMessages(messages) {
  demand(messages.length > 0, 'messages: at least one message is required');
  let open = [];
  messages.forEach((m, i) => {
    demand(['user', 'assistant'].includes(m.role), `messages.${i}.role`);
    const list = listOf(m.content);
    demand(list.length > 0, `messages.${i}.content: must be non-empty`);
    list.forEach((b, j) => checkBlock(b, `messages.${i}.content.${j}`));
    const results = list.filter((b) => b.type === 'tool_result').map((b) => b.tool_use_id);
    demand(results.every((id) => open.includes(id)), `messages.${i}: unexpected tool_use_id in tool_result blocks`);
    demand(open.every((id) => results.includes(id)), `messages.${i}: tool_use ids without tool_result blocks`);
    demand(list.slice(0, results.length).every((b) => b.type === 'tool_result'), `messages.${i}: results come first`);
    open = list.filter((b) => b.type === 'tool_use').map((b) => b.id);
  });
  demand(open.length === 0, 'messages: the last tool_use has no result');
}

function checkHeaders(headers) {
  demand(headers['anthropic-version'], 'anthropic-version: header is required');
  demand(headers['x-api-key']?.startsWith('sk-'), 'x-api-key: header is required');
}

function check(body, isCount) {
  only(body, top, 'body');
  demand(isCount || (Number.isInteger(body.max_tokens) && body.max_tokens > 0), 'max_tokens: Field required');
  if (typeof body.temperature === 'number') demand(body.temperature <= 1, 'temperature: range: 0..1');
  checkMessages(body.messages);
  for (const [i, t] of (body.tools ?? []).entries()) {
    only(t, ['type', 'name', 'description', 'input_schema', 'strict', 'cache_control', 'eager_input_streaming'], `tools.${i}`);
    demand(t.input_schema?.type === 'object', `tools.${i}.input_schema.type: Field required`);
  }
  if (body.tool_choice) demand(body.tools?.length, 'tool_choice: may only be specified while providing tools');
  const format = body.output_config?.format;
  if (format) demand(format.schema?.additionalProperties === false, 'output_config.format.schema: additionalProperties');
  if (body.thinking?.type === 'enabled')
    demand(body.thinking.budget_tokens >= 1024 && body.thinking.budget_tokens < body.max_tokens, 'thinking.budget_tokens');
}

const textOf = (content) => listOf(content ?? []).map((b) => b.text ?? '').join('');

function shows(body) {
  const all = body.messages.flatMap((m) => listOf(m.content));
  return {
    system: textOf(body.system),
    image: all.find((b) => b.type === 'image')?.source.data,
    schema: body.output_config?.format?.schema,
    results: all.filter((b) => b.type === 'tool_result').map((b) => textOf(b.content)),
  };
}

const reasons = { stop: 'end_turn', calls: 'tool_use' };
const counts = (output) => ({
  input_tokens: usage.fresh,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: usage.cached,
  output_tokens: output,
});

function content(p) {
  const list = [];
  if (p.reasoning) list.push({ type: 'thinking', thinking: p.reasoning.join(''), signature: 'c2VhbGVk' });
  if (p.text) list.push({ type: 'text', text: p.text.join('') });
  for (const c of p.calls ?? [])
    list.push({ type: 'tool_use', id: c.id, name: c.name, input: JSON.parse(c.arguments.join('')) });
  return list;
}

const message = (body, more) => ({
  id: `msg_${Math.random().toString(36).slice(2)}`,
  type: 'message',
  role: 'assistant',
  model: body.model,
  stop_sequence: null,
  ...more,
});

function stream(res, body, p) {
  const send = (type, more = {}) => res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`);
  let index = 0;
  const block = (content_block, deltas) => {
    send('content_block_start', { index, content_block });
    for (const delta of deltas) send('content_block_delta', { index, delta });
    send('content_block_stop', { index });
    index++;
  };
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  send('message_start', { message: message(body, { content: [], stop_reason: null, usage: counts(1) }) });
  send('ping');
  if (p.reasoning)
    block({ type: 'thinking', thinking: '', signature: '' }, [
      ...p.reasoning.map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature: 'c2VhbGVk' },
    ]);
  if (p.breaks || p.hangs) {
    send('content_block_start', { index, content_block: { type: 'text', text: '' } });
    send('content_block_delta', { index, delta: { type: 'text_delta', text: p.text[0] } });
    if (p.hangs) return hang(res);
    send('error', { error: { type: 'overloaded_error', message: said.overloaded } });
    return res.end();
  }
  if (p.text) block({ type: 'text', text: '' }, p.text.map((text) => ({ type: 'text_delta', text })));
  for (const c of p.calls ?? [])
    block({ type: 'tool_use', id: c.id, name: c.name, input: {} }, [
      { type: 'input_json_delta', partial_json: '' },
      ...c.arguments.map((partial_json) => ({ type: 'input_json_delta', partial_json })),
    ]);
  send('message_delta', { delta: { stop_reason: reasons[p.finish], stop_sequence: null }, usage: { output_tokens: usage.output } });
  send('message_stop');
  res.end();
}

const fail = (res, status, type, text, headers) =>
  sendJson(res, status, { type: 'error', error: { type, message: text }, request_id: 'req_mock' }, headers);

// A conversation, wherever it was posted to.
export function converse(body, res) {
  check(body, false);
  const found = shows(body);
  const scenario = scenarioOf(body.model);
  const p = plan(scenario, found.results);
  if (p.status) return fail(res, p.status, 'rate_limit_error', said.limited, { 'retry-after': '1', 'request-id': 'req_mock' });
  demandScenario(scenario, found, body);
  if (body.stream) return stream(res, body, p);
  if (p.breaks) return fail(res, 529, 'overloaded_error', said.overloaded);
  sendJson(res, 200, message(body, { content: content(p), stop_reason: reasons[p.finish], usage: counts(usage.output) }));
}

function answer(one, res) {
  const body = JSON.parse(one.body);
  try {
    checkHeaders(one.headers);
    if (one.url.startsWith('/v1/messages/count_tokens')) {
      check(body, true);
      return sendJson(res, 200, { input_tokens: 2095 });
    }
    demand(one.url.startsWith('/v1/messages'), `no such path: ${one.url}`);
    converse(body, res);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, 'invalid_request_error', e.message);
  }
}

export default [
  { name: 'anthropic', answer, model: 'claude-sonnet-4-6', provider: (url) => ({ dialect: 'anthropic', base_url: url }) },
];
