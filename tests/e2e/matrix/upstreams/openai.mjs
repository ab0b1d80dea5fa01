// OpenAI's chat completions, as strict as the real one where translations go wrong; and Azure's, which are these at
// other paths.
import * as completions from './openai_completions.mjs';
import * as responses from './openai_responses.mjs';
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage } from '../kit.mjs';

const top = [
  'model', 'messages', 'frequency_penalty', 'logit_bias', 'logprobs', 'max_completion_tokens', 'max_tokens', 'metadata', 'n',
  'parallel_tool_calls', 'presence_penalty', 'prompt_cache_key', 'reasoning_effort', 'response_format',
  'safety_identifier', 'seed', 'service_tier', 'stop', 'store', 'stream', 'stream_options', 'temperature', 'tool_choice',
  'tools', 'top_logprobs', 'top_p', 'user', 'verbosity',
];
const members = {
  developer: ['role', 'content', 'name'],
  system: ['role', 'content', 'name'],
  user: ['role', 'content', 'name'],
  assistant: ['role', 'content', 'name', 'refusal', 'tool_calls'],
  tool: ['role', 'content', 'tool_call_id'],
};
const parts = {
  text: ['type', 'text', 'prompt_cache_breakpoint'],
  image_url: ['type', 'image_url', 'prompt_cache_breakpoint'],
  input_audio: ['type', 'input_audio'],
  file: ['type', 'file'],
  refusal: ['type', 'refusal'],
};

const textOf = (content) =>
  typeof content === 'string' ? content : (content ?? []).map((p) => p.text ?? '').join('');

function checkContent(m, where) {
  if (typeof m.content === 'string' || m.content === null || m.content === undefined) {
    demand(typeof m.content === 'string' || m.tool_calls, `${where}.content: expected a string`);
    return;
  }
  demand(m.content.length > 0, `${where}.content: empty array`);
  m.content.forEach((p, i) => {
    demand(parts[p.type], `${where}.content[${i}].type: '${p.type}'`);
    only(p, parts[p.type], `${where}.content[${i}]`);
    demand(m.role === 'user' || ['text', 'refusal'].includes(p.type), `${where}.content[${i}]: only in user messages`);
  });
}

// Each call is followed by its result, before anything else is said.
function checkMessages(messages) {
  let open = [];
  messages.forEach((m, i) => {
    const where = `messages[${i}]`;
    demand(members[m.role], `${where}.role: '${m.role}'`);
    only(m, members[m.role], where);
    checkContent(m, where);
    if (m.role === 'tool') {
      demand(open.includes(m.tool_call_id), `${where}: a tool message must follow the call it responds to`);
      open = open.filter((id) => id !== m.tool_call_id);
      return;
    }
    demand(open.length === 0, `${where}: calls without a response: ${open}`);
    for (const c of m.tool_calls ?? []) {
      only(c, ['id', 'type', 'function'], `${where}.tool_calls`);
      only(c.function, ['name', 'arguments'], `${where}.tool_calls.function`);
      demand(typeof c.function.arguments === 'string', `${where}.tool_calls: arguments is a string`);
      open.push(c.id);
    }
  });
  demand(open.length === 0, `calls without a response: ${open}`);
}

// strict: every property required and no other allowed, on every level
function isClosed(schema) {
  if (!schema || typeof schema !== 'object') return true;
  if (schema.properties) {
    const names = Object.keys(schema.properties);
    if (schema.additionalProperties !== false || names.some((n) => !schema.required?.includes(n))) return false;
  }
  return Object.values(schema).every(isClosed);
}

export function checkTools(tools) {
  for (const [i, t] of (tools ?? []).entries()) {
    only(t, ['type', 'function'], `tools[${i}]`);
    only(t.function, ['name', 'description', 'parameters', 'strict'], `tools[${i}].function`);
    demand(/^[a-zA-Z0-9_-]{1,64}$/.test(t.function.name), `tools[${i}].function.name`);
  }
}

function check(body) {
  only(body, top, 'body');
  checkMessages(body.messages);
  checkTools(body.tools);
  const format = body.response_format;
  if (format?.type === 'json_schema') {
    only(format.json_schema, ['name', 'description', 'schema', 'strict'], 'response_format.json_schema');
    demand(/^[a-zA-Z0-9_-]{1,64}$/.test(format.json_schema.name), 'response_format.json_schema.name');
    demand(!format.json_schema.strict || isClosed(format.json_schema.schema), 'response_format: not a strict schema');
  }
  if (body.tool_choice) demand(body.tools?.length, 'tool_choice is only allowed when tools are specified');
}

export function shows(body) {
  const all = body.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  return {
    system: body.messages.filter((m) => ['system', 'developer'].includes(m.role)).map((m) => textOf(m.content)).join('\n'),
    image: all.find((p) => p.type === 'image_url')?.image_url.url.split(',')[1],
    schema: body.response_format?.json_schema?.schema,
    results: body.messages.filter((m) => m.role === 'tool').map((m) => textOf(m.content)),
  };
}

const reasons = { stop: 'stop', calls: 'tool_calls' };
export const counts = (p) => ({
  prompt_tokens: usage.fresh + usage.cached,
  completion_tokens: usage.output,
  total_tokens: usage.fresh + usage.cached + usage.output,
  prompt_tokens_details: { cached_tokens: usage.cached, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: p.reasoning ? usage.reasoning : 0 },
});
const head = (body, object) => ({ id: `chatcmpl-${Math.random().toString(36).slice(2)}`, object, created: 1790000000, model: body.model });

function whole(body, p) {
  const message = { role: 'assistant', content: p.text ? p.text.join('') : null, refusal: null };
  if (p.reasoning) message.reasoning_content = p.reasoning.join('');
  if (p.calls)
    message.tool_calls = p.calls.map((c) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: c.arguments.join('') } }));
  return {
    ...head(body, 'chat.completion'),
    choices: [{ index: 0, message, logprobs: null, finish_reason: reasons[p.finish] }],
    usage: counts(p),
  };
}

// The pieces of parallel calls come in turn, without ids after the first (bifrost#1829).
function stream(res, body, p, before) {
  const first = head(body, 'chat.completion.chunk');
  const usageToo = body.stream_options?.include_usage;
  const send = (data) => res.write(`data: ${JSON.stringify(data)}\n\n`);
  const delta = (d, finish_reason = null) =>
    send({ ...first, choices: [{ index: 0, delta: d, logprobs: null, finish_reason }], ...(usageToo ? { usage: null } : {}) });
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  if (before) send(before);
  delta({ role: 'assistant', content: '', refusal: null });
  for (const reasoning_content of p.reasoning ?? []) delta({ reasoning_content });
  for (const content of p.text ?? []) {
    delta({ content });
    if (p.hangs) return hang(res);
    if (!p.breaks) continue;
    send({ error: { message: said.overloaded, type: 'server_error', param: null, code: 'overloaded' } });
    return res.end();
  }
  const calls = p.calls ?? [];
  calls.forEach((c, index) =>
    delta({ tool_calls: [{ index, id: c.id, type: 'function', function: { name: c.name, arguments: '' } }] }));
  for (let i = 0; calls.some((c) => i < c.arguments.length); i++)
    calls.forEach((c, index) => delta({ tool_calls: [{ index, function: { arguments: c.arguments[i] } }] }));
  delta({}, reasons[p.finish]);
  if (usageToo) send({ ...first, choices: [], usage: counts(p) });
  res.end('data: [DONE]\n\n');
}

const fail = (res, status, type, code, text, headers) =>
  sendJson(res, status, { error: { message: text, type, param: null, code } }, headers);

function answerResponses(body, res) {
  const input = responses.checkResponses(body);
  const found = responses.showsResponses(body, input);
  const scenario = scenarioOf(body.model);
  const p = plan(scenario, found.results);
  if (p.status) return fail(res, p.status, 'requests', 'rate_limit_exceeded', said.limited, { 'retry-after': '1' });
  demandScenario(scenario, found, body);
  if (body.stream) return responses.stream(res, body, input, p);
  sendJson(res, 200, responses.whole(body, input, p));
}

// A server that speaks as OpenAI does, and has conversations alone.
function answerCompatible(one, res) {
  if (one.url === '/v1/chat/completions') return answer(one, res);
  sendJson(res, 404, { detail: 'Not Found' });
}

function answerChat(body, res, before) {
  check(body);
  const found = shows(body);
  const scenario = scenarioOf(body.model);
  const p = plan(scenario, found.results);
  if (p.status) return fail(res, p.status, 'requests', 'rate_limit_exceeded', said.limited, { 'retry-after': '1' });
  demandScenario(scenario, found, body);
  if (body.stream) return stream(res, body, p, before);
  if (p.breaks) return fail(res, 503, 'server_error', 'overloaded', said.overloaded);
  sendJson(res, 200, whole(body, p));
}

function answerCompletions(body, res) {
  completions.check(body);
  const p = plan(scenarioOf(body.model), []);
  if (p.status) return fail(res, p.status, 'requests', 'rate_limit_exceeded', said.limited, { 'retry-after': '1' });
  if (body.stream) return completions.stream(res, body, p, counts(p));
  sendJson(res, 200, completions.whole(body, p, counts(p)));
}

const services = { '/chat/completions': answerChat, '/completions': answerCompletions, '/responses': answerResponses };

// `path`: below what the base URL names.
function serve(path, body, res, before) {
  try {
    demand(services[path], `no such path: ${path}`);
    services[path](body, res, before);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, 'invalid_request_error', null, e.message);
  }
}

function answer(one, res) {
  if (!one.headers.authorization?.startsWith('Bearer sk-')) return fail(res, 401, 'invalid_request_error', 'invalid_api_key', 'no API key');
  if (one.method !== 'POST') return responses.answerKept(one, res);
  serve(one.url.replace(/^\/v1/, ''), JSON.parse(one.body), res);
}

// ---- Azure ----

const version = '2024-10-21';
const filtered = { id: '', object: '', created: 0, model: '', choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }] };

// A deployment is named by the path, and begins its streams with what its filter says.
function answerAzure(one, res) {
  if (!one.headers['api-key']?.startsWith('sk-')) return sendJson(res, 401, { error: { code: '401', message: 'Access denied due to invalid subscription key.' } });
  const url = new URL(one.url, 'http://mock');
  const [, deployment, path] = /^\/openai(?:\/deployments\/([^/]+))?(\/.*)$/.exec(url.pathname) ?? [];
  if (url.searchParams.get('api-version') !== version) return sendJson(res, 404, { error: { code: '404', message: 'Resource not found' } });
  if (one.method !== 'POST') return responses.answerKept({ ...one, url: `/v1${path}` }, res);
  const body = JSON.parse(one.body);
  if (deployment ? !services[path] || path === '/responses' : path !== '/responses')
    return sendJson(res, 404, { error: { code: '404', message: 'Resource not found' } });
  serve(path, { ...body, model: deployment ?? body.model }, res, filtered);
}

export default [
  { name: 'compatible', answer: answerCompatible, model: 'some', provider: (url) => ({ dialect: 'openai', base_url: `${url}/v1` }) },
  { name: 'openai', answer, model: 'gpt-5', provider: (url) => ({ dialect: 'openai', base_url: `${url}/v1` }) },
  {
    name: 'azure', answer: answerAzure, model: 'gpt-5',
    provider: (url) => ({ dialect: 'azure', base_url: `${url}/openai`, api_version: version }),
  },
];
