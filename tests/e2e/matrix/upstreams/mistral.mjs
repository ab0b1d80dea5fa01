// Mistral's chat, as strict as the real one where translations go wrong: it knows no members of OpenAI's that are not
// its own, ids of calls have nine letters, calls come whole, and what it thinks is a part of the content.
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson } from '../kit.mjs';
import { checkTools, counts, shows } from './openai.mjs';

const top = [
  'model', 'messages', 'stream', 'tools', 'tool_choice', 'max_tokens', 'temperature', 'top_p', 'random_seed', 'stop', 'n',
  'presence_penalty', 'frequency_penalty', 'response_format', 'parallel_tool_calls', 'prediction', 'prompt_mode', 'safe_prompt',
];
const members = {
  system: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'tool_calls', 'prefix'],
  tool: ['role', 'content', 'tool_call_id', 'name'],
};
const parts = {
  text: ['type', 'text'],
  image_url: ['type', 'image_url'],
  thinking: ['type', 'thinking'],
};
const nine = /^[a-zA-Z0-9]{9}$/;

function checkMessages(messages) {
  let open = [];
  messages.forEach((m, i) => {
    const where = `messages[${i}]`;
    demand(members[m.role], `${where}.role`);
    only(m, members[m.role], where);
    for (const p of Array.isArray(m.content) ? m.content : []) {
      demand(parts[p.type], `${where}.content: type ${p.type}`);
      only(p, parts[p.type], `${where}.content`);
    }
    if (m.role === 'tool') {
      demand(open.includes(m.tool_call_id), 'Unexpected tool call id');
      open = open.filter((id) => id !== m.tool_call_id);
      return;
    }
    demand(open.length === 0, 'Not the same number of function calls and responses');
    demand(m.role !== 'assistant' || m.content || m.tool_calls, 'Assistant message must have either content or tool_calls, but not none.');
    demand(m.role !== 'system' || i === 0 || messages[i - 1].role === 'system', "Unexpected role 'system'");
    for (const c of m.tool_calls ?? []) demand(nine.test(c.id), `Tool call id was ${c.id} but must be a-z, A-Z, 0-9, with a length of 9.`);
    open = (m.tool_calls ?? []).map((c) => c.id);
  });
  demand(['user', 'tool'].includes(messages.at(-1).role) || messages.at(-1).prefix, 'Expected last role User or Tool');
}

function check(body) {
  only(body, top, 'body');
  checkMessages(body.messages);
  checkTools(body.tools);
  const choice = body.tool_choice;
  demand(!choice || choice.type === 'function' || ['auto', 'none', 'any', 'required'].includes(choice), 'tool_choice');
}

// The ids as Mistral gives them.
const callsOf = (p) =>
  (p.calls ?? []).map((c, index) => ({ id: `Kx3mP9qR${index}`, function: { name: c.name, arguments: c.arguments.join('') }, index }));
const thoughts = (list) => [{ type: 'thinking', thinking: list.map((text) => ({ type: 'text', text })) }];
const reasons = { stop: 'stop', calls: 'tool_calls' };
const head = (body, object) => ({ id: Math.random().toString(16).slice(2).padEnd(32, '0'), object, created: 1790000000, model: body.model });

function whole(body, p) {
  const text = p.text?.join('') ?? '';
  const content = p.reasoning ? [...thoughts(p.reasoning), { type: 'text', text }] : text;
  const message = { role: 'assistant', tool_calls: p.calls ? callsOf(p) : null, content };
  return { ...head(body, 'chat.completion'), choices: [{ index: 0, message, finish_reason: reasons[p.finish] }], usage: counts(p) };
}

// Usage stands in the last chunk.
function stream(res, body, p) {
  const first = head(body, 'chat.completion.chunk');
  const send = (data) => res.write(`data: ${JSON.stringify(data)}\n\n`);
  const delta = (d, finish_reason = null, more = {}) => send({ ...first, choices: [{ index: 0, delta: d, finish_reason }], ...more });
  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  delta({ role: 'assistant', content: '' });
  for (const t of p.reasoning ?? []) delta({ content: thoughts([t]) });
  for (const content of p.text ?? []) {
    delta({ content });
    if (p.hangs) return hang(res);
    if (!p.breaks) continue;
    send({ object: 'error', message: said.overloaded, type: 'service_unavailable', param: null, code: '3505' });
    return res.end();
  }
  delta({ content: '', ...(p.calls ? { tool_calls: callsOf(p) } : {}) }, reasons[p.finish], { usage: counts(p) });
  res.end('data: [DONE]\n\n');
}

const fail = (res, status, message, type, headers) => sendJson(res, status, { object: 'error', message, type, param: null, code: null }, headers);

function answer(one, res) {
  const body = JSON.parse(one.body);
  try {
    demand(one.url === '/v1/chat/completions', `no such path: ${one.url}`);
    demand(one.headers.authorization?.startsWith('Bearer sk-'), 'Unauthorized');
    check(body);
    const found = shows(body);
    const scenario = scenarioOf(body.model);
    const p = plan(scenario, found.results);
    if (p.status) return fail(res, p.status, said.limited, 'rate_limited', { 'retry-after': '1' });
    demandScenario(scenario, found, body);
    if (body.stream) return stream(res, body, p);
    if (p.breaks) return fail(res, 503, said.overloaded, 'service_unavailable');
    sendJson(res, 200, whole(body, p));
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    sendJson(res, 422, { object: 'error', message: { detail: [{ loc: ['body'], msg: e.message }] }, type: 'invalid_request_error', param: null, code: null });
  }
}

export default [
  { name: 'mistral', answer, model: 'mistral-medium', provider: (url) => ({ dialect: 'mistral', base_url: `${url}/v1` }) },
];
