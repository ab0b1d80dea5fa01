// What MCP's conformance suite needs at both ends: a server with the tools, prompts and resources
// it asks for by name, built on the official SDK, and a relay that adds the credential it cannot
// send. The server's contents are the suite's own words; each scenario describes what it wants.
import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import { createServer, request as forward } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './gateway.mjs';

const fromE2e = createRequire(`${root}/tests/e2e/package.json`);
const sdk = (path) => fromE2e(`@modelcontextprotocol/sdk/${path}`);
const { Server } = sdk('server/index.js');
const { StreamableHTTPServerTransport } = sdk('server/streamableHttp.js');
const types = sdk('types.js');

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const SILENCE = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
const NOTHING = { type: 'object', properties: {} };
const text = (words) => ({ type: 'text', text: words });
const says = (...content) => ({ content });
const embedded = (uri, mimeType, words) => ({ type: 'resource', resource: { uri, mimeType, text: words } });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const strings = (...names) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
  required: names,
});

const WITH_KEYWORDS = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const DEFAULTS = {
  type: 'object',
  properties: {
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  },
};

const options = ['option1', 'option2', 'option3'];
const titled = ['First', 'Second', 'Third'].map((title, i) => ({ const: `value${i + 1}`, title: `${title} Option` }));
const ENUMS = {
  type: 'object',
  properties: {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: titled },
    legacyEnum: {
      type: 'string',
      enum: ['opt1', 'opt2', 'opt3'],
      enumNames: ['Option One', 'Option Two', 'Option Three'],
    },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: titled } },
  },
};

async function elicit(extra, message, requestedSchema) {
  const answer = await extra.sendRequest(
    { method: 'elicitation/create', params: { message, requestedSchema } },
    types.ElicitResultSchema,
  );
  return `action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`;
}

// name: [input schema, what it does]
const tools = {
  test_simple_text: [NOTHING, () => says(text('This is a simple text response for testing.'))],
  test_image_content: [NOTHING, () => says(image)],
  test_audio_content: [NOTHING, () => says({ type: 'audio', data: SILENCE, mimeType: 'audio/wav' })],
  test_embedded_resource: [
    NOTHING,
    () => says(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  ],
  test_multiple_content_types: [
    NOTHING,
    () =>
      says(
        text('Multiple content types test:'),
        image,
        embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
      ),
  ],
  test_tool_with_logging: [
    NOTHING,
    async (_, extra) => {
      for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
        await sleep(50);
      }
      return says(text('Tool with logging executed successfully'));
    },
  ],
  test_tool_with_progress: [
    NOTHING,
    async (_, extra) => {
      const progressToken = extra._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined)
          await extra.sendNotification({
            method: 'notifications/progress',
            params: { progressToken, progress, total: 100 },
          });
        await sleep(50);
      }
      return says(text(String(progressToken)));
    },
  ],
  test_error_handling: [
    NOTHING,
    () => ({ isError: true, content: [text('This tool intentionally returns an error for testing')] }),
  ],
  test_sampling: [
    strings('prompt'),
    async ({ prompt }, extra) => {
      const answer = await extra.sendRequest(
        {
          method: 'sampling/createMessage',
          params: { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 },
        },
        types.CreateMessageResultSchema,
      );
      return says(text(`LLM response: ${answer.content.text}`));
    },
  ],
  test_elicitation: [
    strings('message'),
    async ({ message }, extra) => says(text(`User response: ${await elicit(extra, message, strings('username', 'email'))}`)),
  ],
  test_elicitation_sep1034_defaults: [
    NOTHING,
    async (_, extra) => says(text(`Elicitation completed: ${await elicit(extra, 'Defaults', DEFAULTS)}`)),
  ],
  test_elicitation_sep1330_enums: [
    NOTHING,
    async (_, extra) => says(text(`Elicitation completed: ${await elicit(extra, 'Enums', ENUMS)}`)),
  ],
  // Closes its own stream and goes on: the client comes again for the rest.
  test_reconnection: [
    NOTHING,
    async (_, extra) => {
      extra.closeSSEStream?.();
      await sleep(100);
      return says(text('Reconnection test completed'));
    },
  ],
  json_schema_2020_12_tool: [WITH_KEYWORDS, () => says(text('read'))],
};

const resources = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PIXEL },
  'test://watched-resource': { mimeType: 'text/plain', text: 'watched' },
};

const user = (content) => ({ role: 'user', content });
// name: [arguments, messages]
const prompts = {
  test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [
    ['arg1', 'arg2'],
    ({ arg1, arg2 }) => [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    ['resourceUri'],
    ({ resourceUri }) => [
      user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      user(text('Please process the embedded resource above.')),
    ],
  ],
  test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
};

function readResource(uri) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (resources[uri]) return { contents: [{ uri, ...resources[uri] }] };
  if (!id) throw new types.McpError(-32002, `Resource not found: ${uri}`);
  const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { contents: [{ uri, mimeType: 'application/json', text: data }] };
}

function newServer() {
  const server = new Server(
    { name: 'conformance', version: '1' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: {},
        resources: { subscribe: true },
        logging: {},
        completions: {},
      },
    },
  );
  const on = (schema, f) => server.setRequestHandler(types[schema], f);
  on('ListToolsRequestSchema', () => ({
    tools: Object.entries(tools).map(([name, [inputSchema]]) => ({ name, description: `Tool ${name}`, inputSchema })),
  }));
  on('CallToolRequestSchema', ({ params }, extra) => {
    if (!tools[params.name]) throw new types.McpError(-32602, `Unknown tool: ${params.name}`);
    return tools[params.name][1](params.arguments ?? {}, extra);
  });
  on('ListPromptsRequestSchema', () => ({
    prompts: Object.entries(prompts).map(([name, [names]]) => ({
      name,
      description: `Prompt ${name}`,
      arguments: names.map((argument) => ({ name: argument, required: true })),
    })),
  }));
  on('GetPromptRequestSchema', ({ params }) => ({ messages: prompts[params.name][1](params.arguments ?? {}) }));
  on('ListResourcesRequestSchema', () => ({
    resources: Object.entries(resources).map(([uri, { mimeType }]) => ({ uri, name: uri.slice(7), mimeType })),
  }));
  on('ListResourceTemplatesRequestSchema', () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template', mimeType: 'application/json' }],
  }));
  on('ReadResourceRequestSchema', ({ params }) => readResource(params.uri));
  on('SubscribeRequestSchema', () => ({}));
  on('UnsubscribeRequestSchema', () => ({}));
  on('SetLevelRequestSchema', () => ({}));
  on('CompleteRequestSchema', ({ params }) => {
    const values = ['paris', 'park', 'party'].filter((word) => word.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  return server;
}

// Events of one session, so that a stream can be resumed.
class Events {
  all = [];
  async storeEvent(stream, message) {
    this.all.push({ id: `${stream}_${this.all.length}`, stream, message });
    return this.all.at(-1).id;
  }
  async getStreamIdForEventId(id) {
    return this.all.find((event) => event.id === id)?.stream;
  }
  async replayEventsAfter(id, { send }) {
    const at = this.all.findIndex((event) => event.id === id);
    const stream = this.all[at]?.stream ?? '';
    for (const event of this.all.slice(at + 1))
      if (event.stream === stream && Object.keys(event.message).length) await send(event.id, event.message);
    return stream;
  }
}

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts)) : undefined;
}

const listening = (server, port) =>
  new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server)));

export function serveConformance(port) {
  const sessions = new Map();
  const names = [`127.0.0.1:${port}`, `localhost:${port}`];
  const begin = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: 500,
      enableDnsRebindingProtection: true,
      allowedHosts: names,
      allowedOrigins: names.map((name) => `http://${name}`),
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await newServer().connect(transport);
    return transport;
  };
  const serve = async (request, answer) => {
    const id = request.headers['mcp-session-id'];
    const body = request.method === 'POST' ? await readBody(request) : undefined;
    const transport = id ? sessions.get(id) : await begin();
    if (transport) await transport.handleRequest(request, answer, body);
    else answer.writeHead(404).end();
  };
  return listening(
    createServer((request, answer) => serve(request, answer).catch(() => answer.destroy())),
    port,
  );
}

// http://127.0.0.1:port/ is `target` with a credential. A Host that names the relay becomes the
// target's; any other goes on as it came, as it is what some scenarios are about.
export function relayWithCredential(port, target, key) {
  const to = new URL(target);
  const own = [`127.0.0.1:${port}`, `localhost:${port}`];
  return listening(
    createServer((request, answer) => {
      const host = own.includes(request.headers.host) ? to.host : request.headers.host;
      const up = forward(
        {
          host: to.hostname,
          port: to.port,
          path: to.pathname,
          method: request.method,
          headers: { ...request.headers, host, authorization: `Bearer ${key}` },
        },
        (reply) => {
          answer.writeHead(reply.statusCode, reply.headers);
          answer.flushHeaders();
          reply.on('error', () => answer.destroy()).pipe(answer);
        },
      );
      up.on('error', () => answer.destroy());
      answer.on('close', () => up.destroy());
      request.pipe(up);
    }),
    port,
  );
}
