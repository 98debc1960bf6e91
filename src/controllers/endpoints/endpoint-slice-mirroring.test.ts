import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { endpointslices, endpoints as endpointsType, services } from "../../api/resources.generated.ts";
import type { Endpoints } from "../../api/types/core-v1.ts";
import { createControllerFixture } from "../../testing/controller-fixture.ts";
import { endpointSliceMirroring } from "./endpoint-slice-mirroring.ts";

const at = { namespace: "shop", name: "s" };
const byHand = (...ips: string[]): New<Endpoints> => ({
  metadata: { ...at, labels: { team: "x" } },
  subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 80, protocol: "TCP" }] }],
});

async function started(selector?: Record<string, string>) {
  const fixture = createControllerFixture();
  fixture.start(endpointSliceMirroring);
  await fixture.client.create(services, { metadata: at, spec: { ports: [{ port: 80 }], ...(selector ? { selector } : {}) } });
  const slices = async () => {
    await fixture.settle();
    return (await fixture.client.list(endpointslices)).items;
  };
  return { fixture, slices };
}

describe("endpointslice-mirroring-controller", () => {
  it("copies Endpoints kept by hand, a slice for each family, and follows them", async () => {
    const { fixture, slices } = await started();
    await using _ = fixture;
    await fixture.client.create(endpointsType, byHand("10.1.2.3", "fd00::1"));
    const made = await slices();
    expect(
      made
        .map(({ addressType, endpoints, ports }) => ({ addressType, endpoints, ports }))
        .sort((a, b) => (a.addressType < b.addressType ? -1 : 1)),
    ).toEqual([
      {
        addressType: "IPv4",
        endpoints: [{ addresses: ["10.1.2.3"], conditions: { ready: true } }],
        ports: [{ name: "", port: 80, protocol: "TCP" }],
      },
      {
        addressType: "IPv6",
        endpoints: [{ addresses: ["fd00::1"], conditions: { ready: true } }],
        ports: [{ name: "", port: 80, protocol: "TCP" }],
      },
    ]);
    expect(made[0]?.metadata.labels).toEqual({
      team: "x",
      "kubernetes.io/service-name": "s",
      "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    });
    expect(made[0]?.metadata.ownerReferences).toMatchObject([{ kind: "Endpoints", name: "s", controller: true }]);
    await fixture.client.patch(endpointsType, at, { subsets: byHand("10.9.9.9").subsets }, { type: "merge" });
    expect((await slices()).map((slice) => slice.endpoints?.[0]?.addresses)).toEqual([["10.9.9.9"]]);
    await fixture.client.delete(endpointsType, at);
    expect(await slices()).toEqual([]);
    expect(fixture.problems).toEqual([]);
  });

  it("puts the addresses of a subset into one slice", async () => {
    const { fixture, slices } = await started();
    await using _ = fixture;
    await fixture.client.create(endpointsType, byHand(...Array.from({ length: 250 }, (_item, i) => `10.1.2.${i}`)));
    expect((await slices()).map(({ endpoints }) => endpoints?.length)).toEqual([250]);
  });

  it("follows the label that says skip", async () => {
    const { fixture, slices } = await started();
    await using _ = fixture;
    const skip = (value: string | null) => ({ metadata: { labels: { "endpointslice.kubernetes.io/skip-mirror": value } } });
    await fixture.client.create(endpointsType, {
      ...byHand("10.1.2.3"),
      metadata: { ...at, ...skip("true").metadata, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    });
    expect(await slices()).toEqual([]);
    await fixture.client.patch(endpointsType, at, skip(null), { type: "merge" });
    expect(await slices()).toHaveLength(1);
    await fixture.client.patch(endpointsType, at, skip("true"), { type: "merge" });
    expect(await slices()).toEqual([]);
  });

  it("leaves services with a selector to the endpointslice-controller", async () => {
    const { fixture, slices } = await started({ app: "a" });
    await using _ = fixture;
    await fixture.client.create(endpointsType, byHand("10.1.2.3"));
    expect(await slices()).toEqual([]);
  });
});
