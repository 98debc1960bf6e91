import { describe, expect, it } from "vitest";
import { ipaddresses, servicecidrs } from "../api/resources.generated.ts";
import type { ServiceCIDR } from "../api/types/networking-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { serviceCidrController } from "./service-cidr.ts";

const range = ({ client }: ControllerFixture, name: string, ...cidrs: string[]): Promise<ServiceCIDR> =>
  client.create(servicecidrs, { metadata: { name }, spec: { cidrs } });

const address = ({ client }: ControllerFixture, name: string, managedBy = "ipallocator.k8s.io") =>
  client.create(ipaddresses, {
    metadata: { name, labels: { "ipaddress.kubernetes.io/managed-by": managedBy } },
    spec: { parentRef: { resource: "services", name: "s", namespace: "d" } },
  });

const names = async ({ client }: ControllerFixture): Promise<readonly string[]> =>
  (await client.list(servicecidrs)).items.map(({ metadata }) => metadata.name);

describe("serviceCidrController", () => {
  it("marks a range ready and holds it", async () => {
    await using fixture = createControllerFixture();
    fixture.start(serviceCidrController);
    await range(fixture, "a", "10.0.0.0/24");
    await fixture.settle();
    const { metadata, status } = await fixture.client.get(servicecidrs, { name: "a" });
    expect(metadata.finalizers).toEqual(["networking.k8s.io/service-cidr-finalizer"]);
    expect(status?.conditions).toMatchObject([{ type: "Ready", status: "True", reason: "", message: "Kubernetes Service CIDR is ready" }]);
  });

  it("lets a free range go after ten seconds", async () => {
    await using fixture = createControllerFixture();
    fixture.start(serviceCidrController);
    await range(fixture, "a", "10.0.0.0/24", "fd00::/112");
    await address(fixture, "10.0.0.9", "somebody-else");
    await address(fixture, "10.0.1.9");
    await fixture.settle();
    await fixture.client.delete(servicecidrs, { name: "a" });
    await fixture.clock.advance(8_000);
    expect(await names(fixture)).toEqual(["a"]);
    await fixture.clock.advance(4_000);
    expect(await names(fixture)).toEqual([]);
  });

  it("keeps a range that has the only place for an address, and lets it go with the address", async () => {
    await using fixture = createControllerFixture();
    fixture.start(serviceCidrController);
    await range(fixture, "a", "10.0.0.0/24");
    await address(fixture, "10.0.0.9");
    await fixture.settle();
    await fixture.client.delete(servicecidrs, { name: "a" });
    await fixture.clock.advance(20_000);
    const { status } = await fixture.client.get(servicecidrs, { name: "a" });
    expect(status?.conditions).toMatchObject([{ type: "Ready", status: "False", reason: "Terminating" }]);
    await fixture.client.delete(ipaddresses, { name: "10.0.0.9" });
    await fixture.settle();
    expect(await names(fixture)).toEqual([]);
  });

  it("lets a range go whose addresses another range has", async () => {
    await using fixture = createControllerFixture();
    fixture.start(serviceCidrController);
    await range(fixture, "a", "10.0.0.0/24");
    await address(fixture, "10.0.0.9");
    await fixture.settle();
    await fixture.client.delete(servicecidrs, { name: "a" });
    await fixture.clock.advance(20_000);
    await range(fixture, "b", "10.0.0.0/16");
    await fixture.settle();
    expect(await names(fixture)).toEqual(["b"]);
  });
});
