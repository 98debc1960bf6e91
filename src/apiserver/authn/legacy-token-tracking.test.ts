import { describe, expect, it } from "vitest";
import { configmaps, namespaces } from "../../api/resources.generated.ts";
import { forbidden } from "../../api/meta/status-error.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { createApiFixture } from "../api-fixture.ts";
import { createTokenTracking, ensureTokenTracking } from "./legacy-token-tracking.ts";

const place = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };
const at = (date: string): number => Date.parse(`${date}T12:00:00Z`);

describe("ensureTokenTracking()", () => {
  it("notes since when use is tracked, once, and mends what is no date", async () => {
    const { client, stop } = createApiFixture();
    await client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} });
    await ensureTokenTracking(client, at("2026-03-01"));
    await ensureTokenTracking(client, at("2026-03-02"));
    const made = await client.get(configmaps, place);
    expect(made.data).toEqual({ since: "2026-03-01" });
    await client.update(configmaps, { ...made, data: { since: "long ago" } });
    await ensureTokenTracking(client, at("2026-03-03"));
    expect((await client.get(configmaps, place)).data).toEqual({ since: "2026-03-03" });
    await stop();
  });
});

describe("createTokenTracking()", () => {
  it("tries again where the map is refused", async () => {
    const { client, stop } = createApiFixture();
    await client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} });
    const clock = new VirtualClock();
    let refusals = 2;
    const refusing = {
      ...client,
      create: ((type, object) =>
        refusals-- > 0 ? Promise.reject(forbidden(type, "x", "not now")) : client.create(type, object)) as typeof client.create,
    };
    const tracking = createTokenTracking({ client: refusing, clock, logger: silentLogger });
    await tracking.start();
    await clock.advance(999);
    expect(refusals).toBe(1);
    await clock.advance(1);
    expect(refusals).toBe(0);
    await clock.advance(2000);
    await tracking.stop();
    expect((await client.get(configmaps, place)).data?.["since"]).toMatch(/^\d{4}-\d\d-\d\d$/);
    await stop();
  });
});
