import { describe, expect, it } from "vitest";
import { poolsOf } from "../../routed-network/pools.ts";
import { defaultPool } from "./up-routed-network.ts";

describe("defaultPool()", () => {
  it.each([
    ["10.244.0.0/16", 26],
    ["10.244.0.0/25", 27],
    ["10.244.0.0/31", 32],
    ["fd00:10::/56", 122],
    ["fd00:10::/124", 126],
  ])("%s has blocks of /%i, which fit", (cidr, blockSize) => {
    const spec = defaultPool(cidr);
    expect(spec.blockSize).toBe(blockSize);
    const object = {
      apiVersion: "crd.projectcalico.org/v1",
      kind: "IPPool",
      metadata: { name: "p", uid: "u", resourceVersion: "1" },
      spec,
    };
    const { pools, problems } = poolsOf([{ ...object, metadata: { ...object.metadata, creationTimestamp: "2026-01-01T00:00:00Z" } }]);
    expect([...problems.values()]).toEqual([]);
    expect(pools).toMatchObject([{ natOutgoing: true, encapsulation: { by: "vxlan", always: false } }]);
  });
});
