// Cohere's chat, version 2, as strict as the real one where translations go wrong.
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage } from '../kit.mjs';

const top = [
  'model', 'messages', 'stream', 'tools', 'tool_choice', 'max_tokens', 'temperature', 'p', 'k', 'seed', 'stop_sequences',
  'frequency_penalty', 'presence_penalty', 'response_format', 'thinking', 'documents', 'safety_mode', 'citation_options', 'logprobs',
];
const members = {
  system: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'tool_calls', 'tool_plan'],
  tool: ['role', 'tool_call_id', 'content'],
};
const listOf = (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []));

function checkMessages(messages) {
  demand(messages?.length > 0, 'invalid request: at least one message is required');
  let open = [];
  messages.forEach((m, i) => {
    demand(members[m.role], `messages[${i}].role`);
    only(m, members[m.role], `messages[${i}]`);
    for (const p of listOf(m.content)) {
      demand(['text', 'image_url', 'thinking', 'document'].includes(p.type), `messages[${i}].content: type ${p.type}`);
      if (p.type === 'text') demand(p.text, `messages[${i}].content: an empty text`);
    }
    if (m.role === 'tool') {
      demand(open.includes(m.tool_call_id), `messages[${i}]: tool_call_id of no call before`);
      open = open.filter((id) => id !== m.tool_call_id);
      return;
    }
    demand(open.length === 0, `messages[${i}]: calls without results: ${open}`);
    for (const c of m.tool_calls ?? []) JSON.parse(c.function.arguments);
    open = (m.tool_calls ?? []).map((c) => c.id);
  });
  demand(open.length === 0, 'messages: the last calls have no result');
}

function check(body, headers) {
  demand(headers.authorization?.startsWith('Bearer sk-'), 'invalid api token');
  only(body, top, 'body');
  checkMessages(body.messages);
  if (body.tool_choice) demand(['REQUIRED', 'NONE'].includes(body.tool_choice) && body.tools?.length, 'tool_choice');
  if (body.temperature !== undefined) demand(body.temperature <= 1, 'temperature must be between 0 and 1');
  demand((body.stop_sequences ?? []).length <= 5, 'stop_sequences: five at most');
}

const textOf = (content) => listOf(content).map((p) => p.text ?? '').join('');

function shows(body) {
  const image = body.messages.flatMap((m) => listOf(m.content)).find((p) => p.type === 'image_url');
  return {
    system: body.messages.filter((m) => m.role === 'system').map((m) => textOf(m.content)).join(''),
    image: image?.image_url.url.replace('data:image/png;base64,', ''),
    schema: body.response_format?.json_schema,
    results: body.messages.filter((m) => m.role === 'tool').map((m) => textOf(m.content)),
  };
}

const reasons = { stop: 'COMPLETE', calls: 'TOOL_CALL' };
const counts = {
  billed_units: { input_tokens: usage.fresh, output_tokens: usage.output },
  tokens: { input_tokens: usage.fresh + usage.cached, output_tokens: usage.output },
  cached_tokens: usage.cached,
};
const callOf = (c, text) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: text } });

function whole(p) {
  const content = [];
  if (p.reasoning) content.push({ type: 'thinking', thinking: p.reasoning.join('') });
  if (p.text) content.push({ type: 'text', text: p.text.join('') });
  const message = { role: 'assistant' };
  if (content.length) message.content = content;
  if (p.calls) message.tool_calls = p.calls.map((c) => callOf(c, c.arguments.join('')));
  return { id: 'cohere-mock', message, finish_reason: reasons[p.finish], usage: counts };
}

function stream(res, p) {
  const send = (type, more = {}) => res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`);
  const says = (type, index, message) => send(type, { index, delta: { message } });
  let index = 0;
  const block = (kind, pieces) => {
    says('content-start', index, { content: { type: kind, [kind]: '' } });
    for (const piece of pieces) says('content-delta', index, { content: { [kind]: piece } });
    send('content-end', { index });
    index++;
  };
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  send('message-start', { id: 'cohere-mock', delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] } } });
  if (p.reasoning) block('thinking', p.reasoning);
  if (p.breaks || p.hangs) {
    says('content-start', index, { content: { type: 'text', text: '' } });
    says('content-delta', index, { content: { text: p.text[0] } });
    if (p.hangs) return hang(res);
    send('message-end', { delta: { finish_reason: 'ERROR', error: said.overloaded } });
    return res.end();
  }
  if (p.text) block('text', p.text);
  (p.calls ?? []).forEach((c, i) => {
    says('tool-call-start', i, { tool_calls: callOf(c, '') });
    for (const piece of c.arguments) says('tool-call-delta', i, { tool_calls: { function: { arguments: piece } } });
    send('tool-call-end', { index: i });
  });
  send('message-end', { delta: { finish_reason: reasons[p.finish], usage: counts } });
  res.end();
}

const fail = (res, status, message, headers) => sendJson(res, status, { id: 'cohere-mock', message }, headers);

function answer(one, res) {
  const body = JSON.parse(one.body);
  try {
    demand(one.url === '/v2/chat', `no such path: ${one.url}`);
    check(body, one.headers);
    const found = shows(body);
    const scenario = scenarioOf(body.model);
    const p = plan(scenario, found.results);
    if (p.status) return fail(res, p.status, said.limited, { 'retry-after': '1' });
    demandScenario(scenario, found, body);
    if (body.stream) return stream(res, p);
    if (p.breaks) return fail(res, 503, said.overloaded);
    sendJson(res, 200, whole(p));
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, e.message);
  }
}

export default [{ name: 'cohere', answer, model: 'command-a-reasoning', provider: (url) => ({ dialect: 'cohere', base_url: url }) }];
