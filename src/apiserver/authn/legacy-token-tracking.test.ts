import { describe, expect, it } from "vitest";
import { configmaps, namespaces } from "../../api/resources.generated.ts";
import { createApiFixture } from "../api-fixture.ts";
import { ensureTokenTracking } from "./legacy-token-tracking.ts";

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
