// An HTTP/1.1 client over TLS that costs little: requests are written as bytes, of answers only the status and the length are
// looked at. Node's own client allocates so much for each request that its garbage collector shows in the times it measures.
import { connect } from "node:tls";

const deadlineMs = 60_000;
const lastChunk = Buffer.from("0\r\n\r\n");

/**
 * One connection that is kept. `ask` writes a request and resolves with the status and the length of the answer's body when that
 * has arrived; one at a time. Rejects when the connection ends, or after a minute.
 */
export class LightConnection {
  #socket;
  #token;
  #waiting;
  #head = Buffer.alloc(0);
  #answer;

  constructor(port, token) {
    this.#token = token;
    this.#socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    this.#socket.setNoDelay(true);
    this.#socket.setTimeout(deadlineMs, () => this.#socket.destroy(new Error("no answer within a minute")));
    this.#socket.on("data", (bytes) => this.#read(bytes));
    this.#socket.on("error", (error) => this.#settle(error));
    this.#socket.on("close", () => this.#settle(new Error("the connection was closed")));
  }

  ask(method, path, contentType, body = "") {
    if (this.#waiting) throw new Error("a connection is asked one thing at a time");
    const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${this.#token}\r\nAccept: application/json\r\n`;
    const about = contentType ? `Content-Type: ${contentType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : "";
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(`${head}${about}\r\n${body}`);
    });
  }

  close() {
    this.#socket.destroy();
  }

  #settle(outcome) {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (outcome instanceof Error) waiting?.reject(outcome);
    else waiting?.resolve(outcome);
  }

  #read(bytes) {
    if (this.#answer === undefined) {
      this.#head = Buffer.concat([this.#head, bytes]);
      const headEnd = this.#head.indexOf("\r\n\r\n");
      if (headEnd < 0) return;
      const head = this.#head.latin1Slice(0, headEnd);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      this.#answer = { status: Number(head.slice(9, 12)), expected: length && Number(length), length: 0, end: Buffer.alloc(0) };
      bytes = this.#head.subarray(headEnd + 4);
      this.#head = Buffer.alloc(0);
    }
    const answer = this.#answer;
    answer.length += bytes.length;
    if (answer.expected === undefined) {
      answer.end = Buffer.concat([answer.end, bytes.subarray(-lastChunk.length)]).subarray(-lastChunk.length);
      if (!answer.end.equals(lastChunk)) return;
    } else if (answer.length < answer.expected) return;
    this.#answer = undefined;
    this.#settle({ status: answer.status, length: answer.length });
  }
}

/** `count` connections; the result asks over one of them, and rejects on a status of 400 and more. */
export function lightConnections(port, token, count) {
  const all = Array.from({ length: count }, () => new LightConnection(port, token));
  return async (worker, method, path, contentType, body) => {
    const { status, length } = await all[worker % count].ask(method, path, contentType, body);
    if (status >= 400) throw new Error(`${method} ${path}: status ${status}`);
    return length;
  };
}
