// OpenAI's older completions, for the mock of openai.mjs.
import { demand, hang, only, said } from '../kit.mjs';

const top = [
  'model', 'prompt', 'best_of', 'echo', 'frequency_penalty', 'logit_bias', 'logprobs', 'max_tokens', 'n',
  'presence_penalty', 'seed', 'stop', 'stream', 'stream_options', 'suffix', 'temperature', 'top_p', 'user',
];

export function check(body) {
  for (const name of Object.keys(body)) demand(top.includes(name), `Unrecognized request argument supplied: ${name}`);
  const isText = (p) => typeof p === 'string' || Number.isInteger(p) || (Array.isArray(p) && p.every(Number.isInteger));
  demand([body.prompt].flat().every(isText), `Invalid type for 'prompt'`);
  demand(JSON.stringify(body.prompt).includes(said.prompt), 'the prompt did not arrive');
}

const head = (body) => ({ id: `cmpl-${Math.random().toString(36).slice(2)}`, object: 'text_completion', created: 1790000000, model: body.model });
const choice = (text, finish_reason) => ({ text, index: 0, logprobs: null, finish_reason });

export const whole = (body, p, usage) => ({ ...head(body), choices: [choice(p.text.join(''), 'stop')], usage });

export function stream(res, body, p, usage) {
  only(body.stream_options ?? {}, ['include_usage'], 'stream_options');
  const first = head(body);
  const usageToo = body.stream_options?.include_usage;
  const send = (data) => res.write(`data: ${JSON.stringify(data)}\n\n`);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const text of p.text) {
    send({ ...first, choices: [choice(text, null)], ...(usageToo ? { usage: null } : {}) });
    if (p.hangs) return hang(res);
    if (!p.breaks) continue;
    send({ error: { message: said.overloaded, type: 'server_error', param: null, code: 'overloaded' } });
    return res.end();
  }
  send({ ...first, choices: [choice('', 'stop')], ...(usageToo ? { usage: null } : {}) });
  if (usageToo) send({ ...first, choices: [], usage });
  res.end('data: [DONE]\n\n');
}

export default [];
