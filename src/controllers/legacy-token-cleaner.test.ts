import { describe, expect, it } from "vitest";
import { configmaps, pods, secrets, serviceaccounts } from "../api/resources.generated.ts";
import { formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { legacyTokenCleaner } from "./legacy-token-cleaner.ts";

const type = "kubernetes.io/service-account-token";
const dayMs = 24 * 3_600_000;
const options = { legacyTokenCleanUpPeriodMs: 10 * dayMs };
const lastUsed = "kubernetes.io/legacy-token-last-used";
const invalidSince = "kubernetes.io/legacy-token-invalid-since";

async function setUp(fixture: ControllerFixture, names: readonly string[], trackedSince?: string): Promise<void> {
  const { client, clock } = fixture;
  const since = trackedSince ?? formatTime(clock.now()).slice(0, 10);
  await client.create(configmaps, {
    metadata: { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" },
    data: { since },
  });
  await client.create(serviceaccounts, { metadata: { namespace: "d", name: "sa" }, secrets: names.map((name) => ({ name })) });
  for (const name of names) await token(fixture, name);
  await token(fixture, "asked-for");
  fixture.start(legacyTokenCleaner);
}

const token = ({ client }: ControllerFixture, name: string) =>
  client.create(secrets, { metadata: { namespace: "d", name, annotations: { "kubernetes.io/service-account.name": "sa" } }, type });

async function tokens({ client }: ControllerFixture): Promise<Readonly<Record<string, string | undefined>>> {
  const { items } = await client.list(secrets);
  return Object.fromEntries(items.map(({ metadata }) => [metadata.name, metadata.labels?.[invalidSince]]));
}

const days = async ({ clock }: ControllerFixture, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await clock.advance(dayMs);
};

describe("legacyTokenCleaner", () => {
  it("marks unused tokens invalid, and deletes them after as long again", async () => {
    await using fixture = createControllerFixture(options);
    await setUp(fixture, ["old"]);
    await days(fixture, 9);
    expect(await tokens(fixture)).toEqual({ old: undefined, "asked-for": undefined });
    await days(fixture, 4);
    expect((await tokens(fixture)).old).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    await days(fixture, 12);
    expect(await tokens(fixture)).toEqual({ "asked-for": undefined });
  });

  it("keeps tokens that pods mount, that are in use, and of whose use nothing is known", async () => {
    await using fixture = createControllerFixture(options);
    await setUp(fixture, ["mounted", "used", "odd", "old"]);
    const volumes = [{ name: "v", secret: { secretName: "mounted" } }];
    await fixture.client.create(pods, { metadata: { namespace: "d", name: "p" }, spec: { containers: [{ name: "c" }], volumes } });
    const label = (name: string, value: string) =>
      fixture.client.patch(secrets, { namespace: "d", name }, { metadata: { labels: { [lastUsed]: value } } }, { type: "merge" });
    await label("odd", "yesterday");
    await days(fixture, 12);
    await label("used", formatTime(fixture.clock.now()).slice(0, 10));
    await days(fixture, 2);
    const { mounted, odd, old } = await tokens(fixture);
    expect([mounted, odd]).toEqual([undefined, undefined]);
    expect(old).toBeDefined();
  });

  it("does nothing where use is not tracked", async () => {
    await using fixture = createControllerFixture(options);
    await setUp(fixture, ["old"], "never");
    await days(fixture, 30);
    expect(await tokens(fixture)).toEqual({ old: undefined, "asked-for": undefined });
  });
});
