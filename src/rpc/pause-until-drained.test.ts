import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { pauseUntilDrained } from "./pause-until-drained.ts";

/** A stream that takes a byte, and a client whose messages are written to it. */
async function connect(): Promise<{ readonly sender: WebSocket; readonly accepted: WebSocket; readonly output: PassThrough }> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  onTestFinished(() => server.close());
  const sender = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => sender.terminate());
  const [accepted] = (await once(server, "connection")) as [WebSocket];
  const output = new PassThrough({ highWaterMark: 1 });
  accepted.on("message", (data: Buffer) => {
    if (!output.write(data)) pauseUntilDrained(accepted, output);
  });
  return { sender, accepted, output };
}

describe("pauseUntilDrained()", () => {
  it("waits once for however many messages had arrived, and loses none", async () => {
    const { sender, accepted, output } = await connect();
    await once(sender, "open");
    const numbers = Array.from({ length: 100 }, (_, i) => `${i};`);
    for (const number of numbers) sender.send(number);
    await once(accepted, "message");
    await expect.poll(() => output.writableLength).toBeGreaterThan(10);
    expect([accepted.isPaused, output.listenerCount("drain")]).toEqual([true, 1]);
    let text = "";
    output.on("data", (chunk) => (text += chunk));
    await expect.poll(() => text).toBe(numbers.join(""));
    await expect.poll(() => [accepted.isPaused, output.listenerCount("drain")]).toEqual([false, 0]);
  });

  it("reads on when the stream is closed", async () => {
    const { sender, accepted, output } = await connect();
    await once(sender, "open");
    for (const text of ["a", "b"]) sender.send(text);
    await expect.poll(() => accepted.isPaused).toBe(true);
    output.destroy();
    await expect.poll(() => accepted.isPaused).toBe(false);
  });
});
