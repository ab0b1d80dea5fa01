// OpenAI's responses, for the mock of openai.mjs: as strict as the real one.
import { demand, hang, only, said, sendJson, usage } from '../kit.mjs';

const top = [
  'model', 'input', 'instructions', 'tools', 'tool_choice', 'parallel_tool_calls', 'max_output_tokens', 'max_tool_calls',
  'temperature', 'top_p', 'top_logprobs', 'reasoning', 'text', 'include', 'store', 'previous_response_id', 'conversation',
  'truncation', 'metadata', 'prompt', 'prompt_cache_key', 'safety_identifier', 'service_tier', 'background', 'stream',
  'stream_options', 'user',
];
const items = {
  message: ['type', 'id', 'role', 'content', 'status', 'phase'],
  function_call: ['type', 'id', 'call_id', 'name', 'arguments', 'status'],
  function_call_output: ['type', 'id', 'call_id', 'output', 'status'],
  reasoning: ['type', 'id', 'summary', 'content', 'encrypted_content', 'status'],
  item_reference: ['type', 'id'],
};
const parts = {
  input_text: ['type', 'text'],
  input_image: ['type', 'image_url', 'file_id', 'detail'],
  output_text: ['type', 'text', 'annotations', 'logprobs'],
  refusal: ['type', 'refusal'],
};
const sealed = 'gAAAAAsealed=';
const kept = new Map(); // what is kept, by the ids of responses and items

const textOf = (content) => (typeof content === 'string' ? content : (content ?? []).map((p) => p.text ?? '').join(''));

function checkItem(item, where, calls) {
  const type = item.type ?? 'message';
  demand(items[type], `${where}.type: '${type}'`);
  only(item, items[type], where);
  if (item.id) demand(!item.id.includes('_gh'), `${where}.id: unknown`);
  if (type === 'item_reference') demand(kept.has(item.id), `Item with id '${item.id}' not found.`);
  if (type === 'reasoning') demand(!item.encrypted_content || item.encrypted_content === sealed, `${where}: could not be verified`);
  if (type === 'function_call') calls.add(item.call_id);
  if (type === 'function_call_output') demand(calls.has(item.call_id), `No tool call found for function call output with call_id ${item.call_id}.`);
  if (type !== 'message' || typeof item.content === 'string') return;
  item.content.forEach((p, i) => {
    demand(parts[p.type], `${where}.content[${i}].type: '${p.type}'`);
    only(p, parts[p.type], `${where}.content[${i}]`);
    demand((item.role === 'assistant') === ['output_text', 'refusal'].includes(p.type), `${where}.content[${i}]: wrong for ${item.role}`);
  });
}

// References stand for what is kept.
const resolved = (input) => input.map((i) => (i.type === 'item_reference' ? kept.get(i.id) : i));

export function checkResponses(body) {
  only(body, top, 'body');
  if (body.previous_response_id) demand(kept.has(body.previous_response_id), `Previous response with id '${body.previous_response_id}' not found.`);
  const before = body.previous_response_id ? kept.get(body.previous_response_id) : [];
  const input = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input;
  const calls = new Set(before.filter((i) => i.type === 'function_call').map((i) => i.call_id));
  input.forEach((item, i) => {
    if (item.type === 'item_reference' && kept.get(item.id)?.call_id) calls.add(kept.get(item.id).call_id);
    checkItem(item, `input[${i}]`, calls);
  });
  for (const [i, t] of (body.tools ?? []).entries()) only(t, ['type', 'name', 'description', 'parameters', 'strict'], `tools[${i}]`);
  return [...before, ...resolved(input)];
}

export function showsResponses(body, input) {
  const all = input.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  const systems = input.filter((m) => ['system', 'developer'].includes(m.role)).map((m) => textOf(m.content));
  return {
    system: [body.instructions ?? '', ...systems].join('\n'),
    image: all.find((p) => p.type === 'input_image')?.image_url?.split(',')[1],
    schema: body.text?.format?.schema,
    results: input.filter((m) => m.type === 'function_call_output').map((m) => textOf(m.output)),
  };
}

const token = () => Math.random().toString(36).slice(2);

function outputOf(p) {
  const out = [];
  if (p.reasoning)
    out.push({ id: `rs_${token()}`, type: 'reasoning', summary: [{ type: 'summary_text', text: p.reasoning.join('') }], encrypted_content: sealed });
  if (p.text)
    out.push({ id: `msg_${token()}`, type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: p.text.join(''), annotations: [], logprobs: [] }] });
  for (const c of p.calls ?? [])
    out.push({ id: `fc_${token()}`, type: 'function_call', status: 'completed', call_id: c.id, name: c.name, arguments: c.arguments.join('') });
  return out;
}

function responseOf(body, input, p) {
  const r = {
    id: `resp_${token()}`, object: 'response', created_at: 1790000000, status: 'completed', error: null, incomplete_details: null,
    model: body.model, output: outputOf(p), parallel_tool_calls: true, tool_choice: 'auto', tools: body.tools ?? [],
    previous_response_id: body.previous_response_id ?? null, store: body.store !== false, metadata: {},
    usage: {
      input_tokens: usage.fresh + usage.cached, input_tokens_details: { cached_tokens: usage.cached },
      output_tokens: usage.output, output_tokens_details: { reasoning_tokens: p.reasoning ? usage.reasoning : 0 },
      total_tokens: usage.fresh + usage.cached + usage.output,
    },
  };
  if (r.store) {
    kept.set(r.id, [...input, ...r.output]);
    for (const item of r.output) kept.set(item.id, item);
  }
  return r;
}

export const whole = responseOf;

const empty = { message: (i) => ({ ...i, status: 'in_progress', content: [] }), function_call: (i) => ({ ...i, status: 'in_progress', arguments: '' }), reasoning: ({ encrypted_content, ...i }) => ({ ...i, summary: [] }) };

export function stream(res, body, input, p) {
  const r = responseOf(body, input, p);
  let sequence_number = 0;
  const send = (type, more) => res.write(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence_number++, ...more })}\n\n`);
  const begun = { ...r, status: 'in_progress', output: [], usage: null };
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  send('response.created', { response: begun });
  send('response.in_progress', { response: begun });
  r.output.forEach((item, output_index) => {
    const at = { item_id: item.id, output_index };
    send('response.output_item.added', { output_index, item: empty[item.type](item) });
    if (item.type === 'message') {
      const part = { ...at, content_index: 0 };
      send('response.content_part.added', { ...part, part: { type: 'output_text', text: '', annotations: [] } });
      for (const delta of p.breaks || p.hangs ? p.text.slice(0, 1) : p.text) send('response.output_text.delta', { ...part, delta, logprobs: [] });
      if (p.breaks || p.hangs) return;
      send('response.output_text.done', { ...part, text: p.text.join(''), logprobs: [] });
      send('response.content_part.done', { ...part, part: item.content[0] });
    } else if (item.type === 'reasoning') {
      const part = { ...at, summary_index: 0 };
      send('response.reasoning_summary_part.added', { ...part, part: { type: 'summary_text', text: '' } });
      for (const delta of p.reasoning) send('response.reasoning_summary_text.delta', { ...part, delta });
      send('response.reasoning_summary_text.done', { ...part, text: p.reasoning.join('') });
      send('response.reasoning_summary_part.done', { ...part, part: item.summary[0] });
    } else {
      for (const delta of p.calls.find((c) => c.id === item.call_id && item.arguments === c.arguments.join('')).arguments)
        send('response.function_call_arguments.delta', { ...at, delta });
      send('response.function_call_arguments.done', { ...at, name: item.name, arguments: item.arguments });
    }
    send('response.output_item.done', { output_index, item });
  });
  if (p.hangs) return hang(res);
  if (p.breaks) send('error', { code: 'overloaded', message: said.overloaded, param: null });
  else send('response.completed', { response: r });
  res.end();
}

// What is kept, asked for by its id.
export function answerKept(one, res) {
  const [, id, items] = /^\/v1\/responses\/([^/?]+)(\/input_items)?/.exec(one.url) ?? [];
  if (!kept.has(id)) return sendJson(res, 404, { error: { message: `Response with id '${id}' not found.`, type: 'invalid_request_error', param: null, code: null } });
  if (one.method === 'DELETE') {
    kept.delete(id);
    return sendJson(res, 200, { id, object: 'response', deleted: true });
  }
  const data = kept.get(id);
  if (items) return sendJson(res, 200, { object: 'list', data, first_id: null, last_id: null, has_more: false });
  sendJson(res, 200, { id, object: 'response', status: 'completed', output: data.filter((i) => i.id), model: 'gpt-5' });
}

export default [];
