import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forbidden } from "../../api/meta/status-error.ts";
import { configmaps, namespaces } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { createTokenTracking, type TokenTracking } from "./legacy-token-tracking.ts";

const place = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };
const halfHourMs = 30 * 60_000;

let api: ApiFixture;
let clock: VirtualClock;
let tracking: TokenTracking;
beforeEach(async () => {
  api = createApiFixture();
  clock = new VirtualClock();
  await api.client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} });
});
afterEach(async () => {
  await tracking.stop();
  await api.stop();
});

async function start(client: Pick<Client, "create" | "update"> = api.client): Promise<void> {
  tracking = createTokenTracking({ client, reader: api.stores.reader, clock, logger: silentLogger });
  await tracking.start();
}

const data = async (): Promise<unknown> => (await api.client.get(configmaps, place)).data;
const today = (): string => new Date(clock.now()).toISOString().slice(0, 10);

describe("createTokenTracking()", () => {
  it("notes since when use is tracked, and keeps a date that is there", async () => {
    await start();
    expect(await data()).toEqual({ since: today() });
    await tracking.stop();
    const made = await api.client.get(configmaps, place);
    await api.client.update(configmaps, { ...made, data: { since: "2026-03-01" } });
    await start();
    expect(await data()).toEqual({ since: "2026-03-01" });
  });

  it("mends what is no date when it is written", async () => {
    await start();
    const made = await api.client.get(configmaps, place);
    await api.client.update(configmaps, { ...made, data: { since: "long ago", more: "x" } });
    await vi.waitFor(async () => expect(await data()).toEqual({ since: today(), more: "x" }), { timeout: 60_000 });
  });

  it("makes it anew where it is deleted, after half an hour", async () => {
    await start();
    await api.client.delete(configmaps, place);
    await clock.advance(halfHourMs - 1);
    await expect(data()).rejects.toThrow("not found");
    await clock.advance(1);
    await vi.waitFor(async () => expect(await data()).toEqual({ since: today() }), { timeout: 60_000 });
  });

  it("lets the server start where the map is refused, and tries again", async () => {
    let refusals = 2;
    const create: Client["create"] = (type, object, options) =>
      refusals-- > 0 ? Promise.reject(forbidden(type, place.name, "not now")) : api.client.create(type, object, options);
    await start({ create, update: api.client.update });
    expect(refusals).toBe(1);
    await clock.advance(999);
    expect(refusals).toBe(1);
    await clock.advance(1);
    expect(refusals).toBe(0);
    await clock.advance(2000);
    await vi.waitFor(async () => expect(await data()).toEqual({ since: today() }), { timeout: 60_000 });
  });
});
