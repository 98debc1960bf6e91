import { describe, expect, it } from "vitest";
import { parseCIDR, parseIP } from "../api/meta/ip.ts";
import { allocationsOf, assignAddress, assignNext, blockName, freeBlock, newBlock, placesOfHandle, releasePlaces } from "./block.ts";
import type { IPAMBlockSpec } from "./resources.ts";

const give = (block: IPAMBlockSpec, handle: string, secondary: Record<string, string> = {}) => {
  const assignment = assignNext(block, { handle_id: handle, secondary });
  if (!assignment) throw new Error("the block is full");
  return assignment;
};
const ip = (text: string) => {
  const parsed = parseIP(text);
  if (!parsed) throw new Error(text);
  return parsed;
};
const cidr = (text: string) => {
  const parsed = parseCIDR(text);
  if (!parsed) throw new Error(text);
  return parsed;
};

describe("a block", () => {
  it("has a name that can be an object's", () => {
    expect(blockName("10.244.0.64/26")).toBe("10-244-0-64-26");
    expect(blockName("fd00:10::40/122")).toBe("fd00-10--40-122");
  });

  it("gives out its addresses one after the other, until it is full", () => {
    let block = newBlock("10.0.0.4/30", "a");
    expect(block).toMatchObject({ affinity: "host:a", allocations: [null, null, null, null], unallocated: [0, 1, 2, 3] });
    const given: string[] = [];
    for (const handle of ["h1", "h2", "h3", "h4"]) {
      const assignment = give(block, handle);
      given.push(assignment.address);
      block = assignment.block;
    }
    expect(given).toEqual(["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"]);
    expect(assignNext(block, { handle_id: "h5" })).toBeUndefined();
    expect(block).toMatchObject({ allocations: [0, 1, 2, 3], unallocated: [], sequenceNumber: 4 });
    expect(block.sequenceNumberForAllocation).toEqual({ 0: 1, 1: 2, 2: 3, 3: 4 });
  });

  it("gives out an address that is asked for, once", () => {
    const assignment = assignAddress(newBlock("fd00::40/122", "a"), ip("fd00::7f"), { handle_id: "h" });
    expect(assignment?.address).toBe("fd00::7f");
    if (!assignment) return;
    expect(assignAddress(assignment.block, ip("fd00::7f"), { handle_id: "other" })).toBeUndefined();
    expect(assignAddress(assignment.block, ip("fd00::80"), { handle_id: "other" })).toBeUndefined();
  });

  it("forgets what nobody has any more, and gives a released address out last", () => {
    let { block } = give(newBlock("10.0.0.0/30", "a"), "h1", { pod: "one" });
    block = give(block, "h2", { pod: "two" }).block;
    block = give(block, "h2", { pod: "two" }).block;
    expect(block.attributes).toHaveLength(2);
    expect(placesOfHandle(block, "h2")).toEqual([1, 2]);
    block = releasePlaces(block, placesOfHandle(block, "h1"));
    expect(block).toMatchObject({ allocations: [null, 0, 0, null], unallocated: [3, 0], sequenceNumber: 4 });
    expect(block.attributes).toEqual([{ handle_id: "h2", secondary: { pod: "two" } }]);
    expect(block.sequenceNumberForAllocation).toEqual({ 1: 2, 2: 3 });
    expect(allocationsOf(block).map(({ address, handleId }) => `${address} ${handleId}`)).toEqual(["10.0.0.1 h2", "10.0.0.2 h2"]);
    expect(releasePlaces(block, [0, 3]), "nothing to release").toBe(block);
  });
});

describe("freeBlock()", () => {
  const pool = { cidr: cidr("10.0.0.0/24"), blockSize: 26 };

  it("finds each block of the pool once, from a place of the node's own", () => {
    const taken = new Set<string>();
    for (let i = 0; i < 4; i++) taken.add(freeBlock(pool, "node", taken) ?? "");
    expect([...taken].sort()).toEqual(["10.0.0.0/26", "10.0.0.128/26", "10.0.0.192/26", "10.0.0.64/26"]);
    expect(freeBlock(pool, "node", taken)).toBeUndefined();
    const first = Array.from({ length: 20 }, (_, i) => freeBlock(pool, `node-${i}`, new Set()));
    expect(new Set(first).size).toBeGreaterThan(1);
    expect(freeBlock(pool, "node-1", new Set())).toBe(first[1]);
  });

  it("finds one in a range of IPv6", () => {
    expect(freeBlock({ cidr: cidr("fd00:10::/48"), blockSize: 122 }, "node", new Set())).toMatch(/^fd00:10:0:[0-9a-f:]+\/122$/);
  });
});
