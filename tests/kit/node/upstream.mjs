// A scripted upstream: it keeps every request as it arrived and answers as the test says.
import { createServer } from 'node:http';

export async function upstream(port, answer) {
  const seen = [];
  const server = createServer((req, res) => {
    const parts = [];
    req.on('data', (part) => parts.push(part));
    req.on('end', () => {
      const headers = {};
      for (let i = 0; i < req.rawHeaders.length; i += 2)
        headers[req.rawHeaders[i].toLowerCase()] = req.rawHeaders[i + 1];
      const one = { method: req.method, url: req.url, headers, body: Buffer.concat(parts).toString('utf8') };
      seen.push(one);
      answer(one, res);
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    seen,
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function sayCompletion(res, more = {}) {
  const body = JSON.stringify({
    id: 'chatcmpl-scripted',
    object: 'chat.completion',
    created: 1700000000,
    model: 'scripted',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Scripted.' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 },
    ...more,
  });
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  res.end(body);
}
