import { expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import { keepPeerEndpoint, readPeerEndpoints } from "./peer-endpoints.ts";

const prefix = "/registry/";
const clock = new VirtualClock();
const store = createMemoryStore({ clock });
const endpoints = async () => Object.fromEntries(await readPeerEndpoints(store, prefix));
const keep = (identity: string, host: string) =>
  keepPeerEndpoint({ store, clock, logger: silentLogger }, { prefix, identity, address: { host, port: 6443 } });

it("servers say where they are as long as they live, under upstream's key and label", async () => {
  const [a, b] = [keep("apiserver-a", "192.0.2.1"), keep("apiserver-b", "2001:db8::1")];
  await clock.advance(60_000);
  const both = { "apiserver-a": { host: "192.0.2.1", port: 6443 }, "apiserver-b": { host: "2001:db8::1", port: 6443 } };
  expect(await endpoints()).toEqual(both);
  const written = JSON.parse(Buffer.from((await store.get("/registry/peerserverleases/apiserver-a"))?.value ?? []).toString());
  expect(written).toMatchObject({ kind: "Endpoints", apiVersion: "v1", metadata: { labels: { apiserverIdentity: "apiserver-a" } } });
  await a.stop();
  await a.stop();
  expect(Object.keys(await endpoints())).toEqual(["apiserver-b"]);
  await b.stop();
  expect(await endpoints()).toEqual({});
});

it("one that was killed is gone after a quarter of a minute, and what cannot be read is passed over", async () => {
  const put = (name: string, value: string, ttlSeconds = 15) =>
    store.transact({
      conditions: [],
      operations: [{ type: "put", key: `/registry/peerserverleases/${name}`, value: Buffer.from(value), ttlSeconds }],
    });
  const at = (ip: unknown, port: unknown) => JSON.stringify({ subsets: [{ addresses: [{ ip }], ports: [{ port }] }] });
  await put("killed", at("192.0.2.9", 6443));
  await put("protobuf", "k8s\0");
  await put("empty", JSON.stringify({ subsets: [] }));
  await put("no-port", at("192.0.2.9", undefined));
  await put("no-ip", at("", 6443));
  await put("large-port", at("192.0.2.9", 65536));
  expect(await endpoints()).toEqual({ killed: { host: "192.0.2.9", port: 6443 } });
  await clock.advance(20_000);
  expect(await endpoints()).toEqual({});
});
