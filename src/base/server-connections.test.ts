import { once } from "node:events";
import { createServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { expect, it } from "vitest";
import { closing } from "./server-connections.ts";

it("closes a server that waits for a handshake", async () => {
  const server = createServer();
  const close = closing(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(server, "connection");
  const ended = once(client, "close");
  client.on("error", () => undefined);
  await close();
  await ended;
  expect(server.listening).toBe(false);
});
