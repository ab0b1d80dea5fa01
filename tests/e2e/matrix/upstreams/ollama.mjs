// Ollama's own chat: JSON values, one a line; calls of tools have no ids, and their arguments are objects.
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage as counts } from '../kit.mjs';

// It does not say what it took from its cache.
const usage = { fresh: counts.fresh + counts.cached, cached: 0, output: counts.output, reasoning: 0 };

const top = ['model', 'messages', 'stream', 'tools', 'format', 'options', 'think', 'keep_alive'];
const options = [
  'num_predict', 'temperature', 'top_p', 'top_k', 'min_p', 'seed', 'stop', 'presence_penalty', 'frequency_penalty', 'num_ctx',
];

function check(body) {
  only(body, top, 'body');
  only(body.options ?? {}, options, 'options');
  let open = [];
  for (const [i, m] of body.messages.entries()) {
    demand(['system', 'user', 'assistant', 'tool'].includes(m.role), `messages[${i}].role`);
    only(m, ['role', 'content', 'thinking', 'images', 'tool_calls', 'tool_name'], `messages[${i}]`);
    demand(typeof m.content === 'string', `json: cannot unmarshal into Go struct field ChatRequest.messages.${i}.content of type string`);
    for (const c of m.tool_calls ?? [])
      demand(c.function.arguments && typeof c.function.arguments === 'object', `messages[${i}].tool_calls: arguments must be an object`);
    if (m.role === 'tool') demand(m.tool_name === open.shift(), `messages[${i}]: a result of no call: ${m.tool_name}`);
    else open = (m.tool_calls ?? []).map((c) => c.function.name);
  }
}

function shows(body) {
  return {
    system: body.messages.filter((m) => m.role === 'system').map((m) => m.content).join(''),
    image: body.messages.find((m) => m.images)?.images[0],
    schema: body.format,
    results: body.messages.filter((m) => m.role === 'tool').map((m) => m.content),
  };
}

const callsOf = (p) => (p.calls ?? []).map((c) => ({ function: { name: c.name, arguments: JSON.parse(c.arguments.join('')) } }));
const value = (model, message, more) => ({ model, created_at: new Date().toISOString(), message: { role: 'assistant', content: '', ...message }, done: false, ...more });
const end = {
  done: true, done_reason: 'stop', total_duration: 1, load_duration: 1, prompt_eval_count: usage.fresh, eval_count: usage.output,
};

function stream(res, model, p) {
  const send = (v) => res.write(`${JSON.stringify(v)}\n`);
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for (const thinking of p.reasoning ?? []) send(value(model, { thinking }));
  if (p.breaks || p.hangs) {
    send(value(model, { content: p.text[0] }));
    if (p.hangs) return hang(res);
    send({ error: said.overloaded });
    return res.end();
  }
  for (const content of p.text ?? []) send(value(model, { content }));
  for (const call of callsOf(p)) send(value(model, { tool_calls: [call] }));
  send(value(model, {}, end));
  res.end();
}

function whole(model, p) {
  const message = { content: (p.text ?? []).join('') };
  if (p.reasoning) message.thinking = p.reasoning.join('');
  if (p.calls) message.tool_calls = callsOf(p);
  return value(model, message, end);
}

const fail = (res, status, error, headers) => sendJson(res, status, { error }, headers);

function answer(one, res) {
  const body = JSON.parse(one.body);
  try {
    demand(one.url === '/api/chat', `no such path: ${one.url}`);
    check(body);
    const found = shows(body);
    const scenario = scenarioOf(body.model);
    const p = plan(scenario, found.results);
    if (p.status) return fail(res, p.status, said.limited, { 'retry-after': '1' });
    demandScenario(scenario, found, body);
    if (body.stream) return stream(res, body.model, p);
    if (p.breaks) return fail(res, 503, said.overloaded);
    sendJson(res, 200, whole(body.model, p));
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, e.message);
  }
}

export default [{ name: 'ollama', answer, usage, model: 'qwen3', provider: (url) => ({ dialect: 'ollama', base_url: url }) }];
