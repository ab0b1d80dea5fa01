// Gemini's generateContent, as strict as the real one where translations go wrong: it knows every member by name, takes
// turns in their order, and wants a response for each call of the turn before.
import { demand, demandScenario, hang, only, plan, Refused, said, scenarioOf, sendJson, usage } from '../kit.mjs';

const top = [
  'contents', 'systemInstruction', 'generationConfig', 'tools', 'toolConfig', 'safetySettings', 'cachedContent', 'serviceTier',
];
const config = [
  'temperature', 'topP', 'topK', 'candidateCount', 'maxOutputTokens', 'stopSequences', 'responseMimeType', 'responseSchema',
  'responseJsonSchema', 'presencePenalty', 'frequencyPenalty', 'seed', 'responseModalities', 'thinkingConfig', 'mediaResolution',
];
const parts = {
  text: ['text', 'thought', 'thoughtSignature'],
  inlineData: ['inlineData', 'thoughtSignature'],
  fileData: ['fileData'],
  functionCall: ['functionCall', 'thoughtSignature'],
  functionResponse: ['functionResponse'],
};
const isObject = (v) => v && typeof v === 'object' && !Array.isArray(v);

function checkPart(p, where) {
  const kind = Object.keys(parts).find((k) => k in p);
  demand(kind, `${where}: required one_of 'data' must have one initialized field`);
  only(p, parts[kind], where);
  if (kind === 'text') demand(p.text.length > 0, `${where}.text: empty`);
  if (kind === 'inlineData') {
    only(p.inlineData, ['mimeType', 'data'], where);
    demand(p.inlineData.mimeType, `${where}.inlineData.mimeType: missing`);
  }
  if (kind === 'functionCall') {
    only(p.functionCall, ['id', 'name', 'args'], where);
    demand(isObject(p.functionCall.args), `${where}.functionCall.args: must be a Struct`);
  }
  if (kind === 'functionResponse') {
    only(p.functionResponse, ['id', 'name', 'response', 'parts'], where);
    demand(isObject(p.functionResponse.response), `${where}.functionResponse.response: must be a Struct`);
  }
}

const callsOf = (c) => c.parts.filter((p) => p.functionCall).map((p) => p.functionCall);
const responsesOf = (c) => c.parts.filter((p) => p.functionResponse).map((p) => p.functionResponse);

function checkContents(contents) {
  demand(contents?.length > 0, 'contents is not specified');
  contents.forEach((c, i) => {
    only(c, ['role', 'parts'], `contents[${i}]`);
    demand(['user', 'model', undefined].includes(c.role), `contents[${i}].role: Please use a valid role: user, model.`);
    demand(c.parts?.length > 0, `contents[${i}].parts: must not be empty`);
    c.parts.forEach((p, j) => checkPart(p, `contents[${i}].parts[${j}]`));
    if (i) demand(c.role !== contents[i - 1].role, `contents[${i}]: two turns of one role`);
    const calls = callsOf(c);
    // a model of this generation wants its signature back with the first call of a turn
    if (calls.length) {
      const signed = c.parts.find((p) => p.functionCall).thoughtSignature;
      demand(signed, `contents[${i}]: Function call is missing a thought_signature in functionCall parts.`);
      const responses = contents[i + 1] ? responsesOf(contents[i + 1]) : [];
      demand(responses.length === calls.length, `contents[${i + 1}]: the number of function response parts is not that of the calls`);
      responses.forEach((r, j) => demand(r.name === calls[j].name, `contents[${i + 1}]: ${r.name} responds to ${calls[j].name}`));
    } else if (contents[i + 1]) {
      demand(responsesOf(contents[i + 1]).length === 0, `contents[${i + 1}]: a function response without its call`);
    }
  });
}

function checkTools(body) {
  demand((body.tools ?? []).length <= 1, 'tools: all functions stand in one tool');
  for (const t of body.tools ?? []) {
    only(t, ['functionDeclarations'], 'tools[0]');
    for (const f of t.functionDeclarations) {
      only(f, ['name', 'description', 'parameters', 'parametersJsonSchema'], 'tools[0].functionDeclarations');
      demand(/^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/.test(f.name), `Invalid function name: ${f.name}`);
      for (const name of ['$schema', 'const']) demand(!JSON.stringify(f).includes(`"${name}":`), `Unknown name "${name}"`);
    }
  }
  const calling = body.toolConfig?.functionCallingConfig;
  if (!calling) return;
  demand(['AUTO', 'ANY', 'NONE', 'VALIDATED'].includes(calling.mode), 'toolConfig.functionCallingConfig.mode');
  demand(calling.mode !== 'AUTO' || !calling.allowedFunctionNames, 'allowed_function_names should only be set with mode ANY');
}

function check(body) {
  only(body, top, 'body');
  only(body.generationConfig ?? {}, config, 'generationConfig');
  demand((body.generationConfig?.stopSequences ?? []).length <= 5, 'stopSequences: at most 5');
  const thinking = body.generationConfig?.thinkingConfig ?? {};
  only(thinking, ['includeThoughts', 'thinkingBudget', 'thinkingLevel'], 'thinkingConfig');
  demand(!thinking.thinkingBudget || !thinking.thinkingLevel, 'thinkingConfig: a budget or a level');
  checkContents(body.contents);
  checkTools(body);
}

const text = (list) => (list ?? []).map((p) => p.text ?? '').join('');

function shows(body) {
  const all = body.contents.flatMap((c) => c.parts);
  return {
    system: text(body.systemInstruction?.parts),
    image: all.find((p) => p.inlineData)?.inlineData.data.replaceAll('-', '+').replaceAll('_', '/'), // either alphabet is taken
    schema: body.generationConfig?.responseJsonSchema ?? body.generationConfig?.responseSchema,
    results: all.filter((p) => p.functionResponse).map((p) => JSON.stringify(p.functionResponse.response)),
  };
}

// Thoughts are counted outside of the candidates.
const counts = (p) => ({
  promptTokenCount: usage.fresh + usage.cached,
  cachedContentTokenCount: usage.cached,
  candidatesTokenCount: usage.output - (p.reasoning ? usage.reasoning : 0),
  ...(p.reasoning ? { thoughtsTokenCount: usage.reasoning } : {}),
  totalTokenCount: usage.fresh + usage.cached + usage.output,
});

// The first call of a turn has the signature of all.
const callParts = (p) =>
  (p.calls ?? []).map((c, i) => ({
    functionCall: { name: c.name, args: JSON.parse(c.arguments.join('')) },
    ...(i === 0 ? { thoughtSignature: 'c2VhbGVk' } : {}),
  }));

const response = (model, p, id, parts, finishReason) => ({
  candidates: [{ content: { ...(parts ? { parts } : {}), role: 'model' }, ...(finishReason ? { finishReason } : {}), index: 0 }],
  usageMetadata: counts(p),
  modelVersion: model,
  responseId: id,
});

function whole(model, p, id) {
  const list = [];
  if (p.reasoning) list.push({ text: p.reasoning.join(''), thought: true });
  if (p.text) list.push({ text: p.text.join('') });
  return response(model, p, id, [...list, ...callParts(p)], 'STOP');
}

// Text and the calls come in one event, events end as HTTP lines do, and there is no last word.
function stream(res, model, p, id) {
  const send = (data) => res.write(`data: ${JSON.stringify(data)}\r\n\r\n`);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const t of p.reasoning ?? []) send(response(model, p, id, [{ text: t, thought: true }]));
  for (const t of p.text ?? []) {
    send(response(model, p, id, [{ text: t }]));
    if (p.hangs) return hang(res);
    if (!p.breaks) continue;
    send({ error: { code: 503, message: said.overloaded, status: 'UNAVAILABLE' } });
    return res.end();
  }
  if (p.calls) send(response(model, p, id, callParts(p)));
  send(response(model, p, id, [{ text: '' }], 'STOP'));
  res.end();
}

const fail = (res, code, status, message, details) =>
  sendJson(res, code, { error: { code, message, status, ...(details ? { details } : {}) } });

// As protobuf's JSON, either spelling of a member is taken; what is a client's own has its names.
const opaque = ['args', 'response', 'parameters', 'parametersJsonSchema', 'responseSchema', 'responseJsonSchema'];
function spelt(v, name) {
  if (!v || typeof v !== 'object' || opaque.includes(name)) return v;
  if (Array.isArray(v)) return v.map((x) => spelt(x));
  const camel = (n) => n.replace(/_([a-z])/g, (_, c) => c.toUpperCase());
  return Object.fromEntries(Object.entries(v).map(([n, x]) => [camel(n), spelt(x, camel(n))]));
}

// A conversation, wherever it was posted to.
export function converse(model, method, said_, url, res) {
  const body = spelt(said_);
  const id = Math.random().toString(36).slice(2);
  check(body);
  const found = shows(body);
  const scenario = scenarioOf(model);
  const p = plan(scenario, found.results);
  if (p.status)
    return fail(res, p.status, 'RESOURCE_EXHAUSTED', said.limited, [
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1s' },
    ]);
  demandScenario(scenario, found, body);
  if (method === 'streamGenerateContent') {
    demand(url.searchParams.get('alt') === 'sse', 'this mock streams as events');
    return stream(res, model, p, id);
  }
  if (p.breaks) return fail(res, 503, 'UNAVAILABLE', said.overloaded);
  sendJson(res, 200, whole(model, p, id));
}

function answer(one, res) {
  const url = new URL(one.url, 'http://mock');
  const [, model, method] = /^\/v1(?:beta)?\/models\/([^/:]+):(\w+)$/.exec(url.pathname) ?? [];
  const body = JSON.parse(one.body);
  try {
    demand(['generateContent', 'streamGenerateContent', 'countTokens'].includes(method), `no such path: ${one.url}`);
    demand(!url.searchParams.has('key'), 'the key of the client came through');
    if (method === 'countTokens') return sendJson(res, 200, { totalTokens: 2095 });
    demand(one.headers['x-goog-api-key']?.startsWith('sk-'), 'API key not valid. Please pass a valid API key.');
    converse(model, method, body, url, res);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    fail(res, 400, 'INVALID_ARGUMENT', e.message);
  }
}

export default [{ name: 'gemini', answer, model: 'gemini-3-flash', provider: (url) => ({ dialect: 'gemini', base_url: url }) }];
