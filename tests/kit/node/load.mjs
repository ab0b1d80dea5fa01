// Load at a rate, over raw keep-alive connections: a client library would spend the second core.
import { connect } from 'node:net';

const TICK_MS = 5;
const RECONNECT_MS = 50;
const CALL_MS = 20000; // a call that takes longer has failed

// {urls, connections (for each url), rate (all together), make(url) → {text, ...call}, on(call)}:
// `on` gets the call back with status (0: no whole answer), body and the times of both ends.
export class Load {
  constructor({ urls, connections, rate, make, on }) {
    Object.assign(this, { rate, make, on });
    this.idle = urls.map(() => []);
    this.sent = 0;
    this.late = 0; // turns at which no connection was idle
    this.next = 0;
    this.lines = urls.flatMap((url, plane) => Array.from({ length: connections }, () => new Line(this, url, plane)));
  }

  start() {
    this.began = performance.now();
    for (const line of this.lines) line.open();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    return this;
  }

  tick() {
    let due = Math.floor(((performance.now() - this.began) * this.rate) / 1000) - this.sent - this.late;
    for (; due > 0; due--) {
      const plane = this.next++ % this.idle.length;
      const line = this.idle[plane].shift();
      if (line) {
        this.sent++;
        line.send(this.make(line.url, plane));
      } else {
        this.late++;
      }
    }
  }

  // No new calls; those under way end.
  async stop() {
    clearInterval(this.ticker);
    const end = performance.now() + CALL_MS + 1000;
    while (this.lines.some((line) => line.call) && performance.now() < end) await new Promise((go) => setTimeout(go, 10));
    for (const line of this.lines) line.close();
  }
}

class Line {
  constructor(load, url, plane) {
    Object.assign(this, { load, url, plane, call: null, text: '', closed: false });
  }

  open() {
    if (this.closed) return;
    const { hostname, port } = new URL(this.url);
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('connect', () => this.rest());
    this.socket.on('data', (data) => this.read(data));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.gone());
  }

  rest() {
    this.load.idle[this.plane].push(this);
  }

  send(call) {
    this.call = call;
    this.text = '';
    call.plane = this.plane;
    call.sentAt = performance.now();
    this.timer = setTimeout(() => this.socket.destroy(), CALL_MS);
    this.socket.write(call.text);
  }

  read(data) {
    if (!this.call) return;
    this.text += data;
    const at = this.text.indexOf('\r\n\r\n');
    if (at < 0) return;
    const head = this.text.slice(0, at + 2);
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head);
    const whole = length ? this.text.length >= at + 4 + Number(length[1]) : this.text.endsWith('\r\n0\r\n\r\n');
    if (!whole) return;
    this.end(Number(head.slice(9, 12)), this.text.slice(at + 4), head);
    if (/\r\nconnection: close\r\n/i.test(head)) this.socket.destroy();
    else this.rest();
  }

  end(status, body, head) {
    const { call } = this;
    clearTimeout(this.timer);
    this.call = null;
    Object.assign(call, { status, body, head, endedAt: performance.now() });
    this.load.on(call);
  }

  gone() {
    const at = this.load.idle[this.plane].indexOf(this);
    if (at >= 0) this.load.idle[this.plane].splice(at, 1);
    if (this.call) this.end(0, this.text, '');
    if (!this.closed) setTimeout(() => this.open(), RECONNECT_MS);
  }

  close() {
    this.closed = true;
    this.socket.destroy();
  }
}

export const chatRequest = (key, body, headers = '') =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: gatehouse.test\r\nauthorization: Bearer ${key}\r\n` +
  `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

export function percentile(sorted, p) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil((p / 100) * sorted.length) - 1)] : NaN;
}
