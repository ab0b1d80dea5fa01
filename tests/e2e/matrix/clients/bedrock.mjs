// Amazon's own SDK, with the virtual key as its bearer token, and signing with what the gateway gives beside the key
// (Signature Version 4). It speaks HTTP/2 unless it is told otherwise.
import assert from 'node:assert/strict';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { picture, report, said, weather } from '../kit.mjs';

const bearer = (t) => ({ token: { token: t.key }, authSchemePreference: ['httpBearerAuth'] });
const signed = (t) => ({ credentials: t.signing, authSchemePreference: ['sigv4'] });
const bodyOf = (t, more = {}) => ({
  modelId: t.model,
  system: [{ text: said.system }],
  messages: [{ role: 'user', content: [{ text: 'Hello' }] }],
  inferenceConfig: { maxTokens: 4096 },
  ...more,
});
const toolConfig = {
  tools: [{ toolSpec: { name: weather.name, description: weather.description, inputSchema: { json: weather.schema } } }],
};
const textOf = (message) => message.content.map((b) => b.text ?? '').join('');
const thoughtOf = (message) => message.content.map((b) => b.reasoningContent?.reasoningText?.text ?? '').join('');
const callsOf = (message) => message.content.filter((b) => b.toolUse).map((b) => b.toolUse);

function checkUsage(got, usage) {
  assert.equal(got.usage.inputTokens, usage.fresh);
  assert.equal(got.usage.cacheReadInputTokens, usage.cached);
  assert.equal(got.usage.outputTokens, usage.output);
}

const refused = (promise) => promise.then(() => assert.fail('it was not refused'), (e) => e);

const row = (name, authOf) => {
  const clientOf = (t) =>
    new BedrockRuntimeClient({
      region: 'eu-west-1',
      endpoint: t.url,
      requestHandler: new NodeHttpHandler(),
      maxAttempts: 1,
      ...authOf(t),
    });

  async function plain(t, body) {
    const got = await clientOf(t).send(new ConverseCommand(body));
    return { message: got.output.message, stopReason: got.stopReason, usage: got.usage };
  }

  // The message that its events build, as an application does it.
  async function streamed(t, body, pieces = []) {
    const got = await clientOf(t).send(new ConverseStreamCommand(body));
    const blocks = [];
    let stopReason, counts;
    for await (const e of got.stream) {
      const start = e.contentBlockStart, delta = e.contentBlockDelta;
      if (start) blocks[start.contentBlockIndex] = { toolUse: { ...start.start.toolUse, input: '' } };
      if (delta) {
        const { text, toolUse, reasoningContent } = delta.delta;
        const block = (blocks[delta.contentBlockIndex] ??= text !== undefined ? { text: '' } : { reasoningContent: { reasoningText: { text: '' } } });
        if (text !== undefined) {
          block.text += text;
          pieces.push(text);
        }
        if (toolUse) block.toolUse.input += toolUse.input;
        if (reasoningContent?.text) block.reasoningContent.reasoningText.text += reasoningContent.text;
        if (reasoningContent?.signature) block.reasoningContent.reasoningText.signature = reasoningContent.signature;
      }
      stopReason = e.messageStop?.stopReason ?? stopReason;
      counts = e.metadata?.usage ?? counts;
    }
    for (const b of blocks) if (b.toolUse) b.toolUse.input = JSON.parse(b.toolUse.input || '{}');
    return { message: { role: 'assistant', content: blocks }, stopReason, usage: counts };
  }

  async function useTools(t, wanted, ask) {
    const body = bodyOf(t, { toolConfig });
    const first = await ask(t, body);
    const calls = callsOf(first.message);
    assert.equal(first.stopReason, 'tool_use');
    assert.deepEqual(calls.map((c) => c.input), [{ city: 'Paris' }, { city: 'Oslo' }].slice(0, wanted));
    const content = calls.map((c, i) => ({ toolResult: { toolUseId: c.toolUseId, content: [{ text: said.results[i] }] } }));
    const last = await ask(t, { ...body, messages: [...body.messages, first.message, { role: 'user', content }] });
    assert.equal(textOf(last.message), said.answer.join(''));
    assert.equal(last.stopReason, 'end_turn');
  }

  return {
    name,
    dialect: 'bedrock converse',
    async text(t) {
      const got = await plain(t, bodyOf(t));
      assert.equal(textOf(got.message), said.text.join(''));
      assert.equal(got.stopReason, 'end_turn');
      checkUsage(got, t.usage);
    },
    async stream(t) {
      const pieces = [];
      const got = await streamed(t, bodyOf(t), pieces);
      assert.deepEqual(pieces, said.text);
      assert.equal(got.stopReason, 'end_turn');
      checkUsage(got, t.usage);
    },
    async tools(t) {
      await useTools(t, 1, plain);
      await useTools(t, 1, streamed);
    },
    async parallel(t) {
      await useTools(t, 2, plain);
      await useTools(t, 2, streamed);
    },
    async image(t) {
      const image = { format: 'png', source: { bytes: Buffer.from(picture, 'base64') } };
      const got = await plain(t, bodyOf(t, { messages: [{ role: 'user', content: [{ image }, { text: 'What is it?' }] }] }));
      assert.equal(textOf(got.message), said.text.join(''));
    },
    async schema(t) {
      const jsonSchema = { name: report.name, schema: JSON.stringify(report.schema) };
      const outputConfig = { textFormat: { type: 'json_schema', structure: { jsonSchema } } };
      for (const ask of [plain, streamed])
        assert.deepEqual(JSON.parse(textOf((await ask(t, bodyOf(t, { outputConfig }))).message)), { city: 'Paris', degrees: 21 });
    },
    async reasoning(t) {
      const additionalModelRequestFields = { thinking: { type: 'enabled', budget_tokens: 2048 } };
      for (const ask of [plain, streamed]) {
        const got = await ask(t, bodyOf(t, { additionalModelRequestFields }));
        assert.equal(thoughtOf(got.message), said.reasoning.join(''));
        assert.equal(textOf(got.message), said.text.join(''));
      }
    },
    async error(t) {
      const e = await refused(plain(t, bodyOf(t)));
      assert.equal(e.name, 'ThrottlingException');
      assert.equal(e.$metadata.httpStatusCode, 429);
    },
    async broken(t) {
      const pieces = [];
      const e = await refused(streamed(t, bodyOf(t), pieces));
      assert.match(e.message, new RegExp(said.overloaded));
      assert.deepEqual(pieces, said.text.slice(0, 1));
    },
    async abort(t) {
      const client = clientOf(t);
      const got = await client.send(new ConverseStreamCommand(bodyOf(t)));
      for await (const e of got.stream) if (e.contentBlockDelta) break;
      client.destroy();
    },
  };
};

export default [row('@aws-sdk bedrock-runtime', bearer), row('@aws-sdk, signed', signed)];
