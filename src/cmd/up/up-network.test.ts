import { describe, expect, it } from "vitest";
import { ApiServerFixture } from "../apiserver/apiserver-fixture.ts";
import { requireSameServiceRange } from "./up-network.ts";

describe("requireSameServiceRange()", () => {
  it("refuses another range than the one that the cluster's services have addresses of", async () => {
    await using fixture = await ApiServerFixture.create();
    const server = await fixture.start("--service-cluster-ip-range=10.99.0.0/16");
    await expect(requireSameServiceRange(server, "10.99.0.0/16")).resolves.toBeUndefined();
    await expect(requireSameServiceRange(server, "10.91.0.0/16")).rejects.toThrow("have addresses of 10.99.0.0/16; give that range");
  });

  it("takes any where nothing says what it was", async () => {
    await using fixture = await ApiServerFixture.create();
    const server = await fixture.start("--runtime-config=networking.k8s.io/v1/servicecidrs=false");
    await expect(requireSameServiceRange(server, "10.91.0.0/16")).resolves.toBeUndefined();
  });
});
