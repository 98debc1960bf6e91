import { once } from "node:events";
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { type Dial, requestTo } from "./dial.ts";
import { memorySocketPair, refusedSocket } from "./memory-socket.ts";

describe("a connection within the process", () => {
  it("carries bytes both ways, with half-closing", async () => {
    const [client, server] = memorySocketPair();
    let got = "";
    server.on("data", (chunk: Buffer) => {
      got += chunk.toString();
    });
    server.on("end", () => server.end(`got ${got}`));
    client.end("hello");
    expect(await text(client)).toBe("got hello");
  });

  it("holds a writer up until there is a reader", async () => {
    const [client, server] = memorySocketPair();
    const chunk = Buffer.alloc(64 * 1024);
    let written = 0;
    while (client.write(chunk) && written < 100) written++;
    expect(written).toBeLessThan(10);
    const drained = once(client, "drain");
    server.resume();
    await drained;
  });

  it("breaks at both ends when one breaks, and ends when one is closed", async () => {
    const [client, server] = memorySocketPair();
    client.on("error", () => undefined);
    const broken = once(server, "error");
    client.destroy(new Error("gone"));
    expect(((await broken)[0] as NodeJS.ErrnoException).code).toBe("ECONNRESET");
    const [other, closed] = memorySocketPair();
    other.resume();
    const ended = once(other, "end");
    closed.destroy();
    await ended;
    const failed = once(other, "error");
    other.write("x");
    expect(((await failed)[0] as NodeJS.ErrnoException).code).toBe("EPIPE");
  });

  it("is what HTTP needs of one", async () => {
    const server = createServer((request, response) => void text(request).then((body) => response.end(`${request.url} ${body}`)));
    const dial: Dial = (host, port) => {
      if (host === "10.0.0.9") return refusedSocket(host, port);
      if (host !== "10.0.0.1") return undefined;
      const [client, accepted] = memorySocketPair();
      server.emit("connection", accepted satisfies Duplex);
      return client;
    };
    const body = "x".repeat(1_000_000);
    const request = requestTo(new URL("https://10.0.0.1:10250/path?query=1"), { method: "POST", timeout: 1000 }, dial);
    request.end(body);
    const [response] = await once(request, "response");
    expect((await text(response)) === `/path?query=1 ${body}`).toBe(true);
    const refused = requestTo(new URL("http://10.0.0.9/"), {}, dial);
    expect(((await once(refused, "error"))[0] as Error).message).toBe("connect ECONNREFUSED 10.0.0.9:80");
  });
});
