// Requests byte by byte, where a client library would tidy up what the test wants to send.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

// Sends the pieces with a pause between them and gives all that came back: {status, head, body}.
export function exchange(url, pieces, { pauseMs = 0, seconds = 15 } = {}) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    const give = () => {
      clearTimeout(timer);
      socket.destroy();
      const at = text.indexOf('\r\n\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      resolve({ status, head: text.slice(0, at).toLowerCase(), body: text.slice(at + 4) });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no whole answer within ${seconds} s, only: ${text.slice(0, 200)}`));
    }, seconds * 1000);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (isWhole(text)) give();
    });
    socket.on('end', give);
    socket.on('error', () => (text ? give() : undefined));
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed || text) return;
        socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
        if (pauseMs) await sleep(pauseMs);
      }
    });
  });
}

// Enough for refusals and small answers: a length is announced for each of them.
function isWhole(text) {
  const at = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, at + 2));
  return at > 0 && length !== null && text.length >= at + 4 + Number(length[1]);
}

export const request = (method, target, headers, body = '') =>
  `${method} ${target} HTTP/1.1\r\nhost: gatehouse.test\r\n` +
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('') +
  `\r\n${body}`;
