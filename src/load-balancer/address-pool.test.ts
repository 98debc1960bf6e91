import { describe, expect, it } from "vitest";
import { AddressPool, findOverlap, parseRange } from "./address-pool.ts";

describe("address ranges", () => {
  it("are written as two addresses, as a block, or as one address", () => {
    const sizes = ["192.0.2.10-192.0.2.19", "192.0.2.64/26", "192.0.2.5", "2001:db8::/120", "2001:db8::1 - 2001:db8::ffff"].map((text) => {
      const { family, first, last } = parseRange(text);
      return `${family} ${last - first + 1n}`;
    });
    expect(sizes).toEqual(["IPv4 10", "IPv4 64", "IPv4 1", "IPv6 256", "IPv6 65535"]);
  });

  it.each(["", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.0/33", "one", "192.0.2.1-"])("%j is none", (text) => {
    expect(() => parseRange(text)).toThrow(/expected a range|ends before it begins/);
  });

  it("must not overlap", () => {
    const overlapOf = (...texts: string[]) => findOverlap(texts.map(parseRange))?.map(({ text }) => text);
    expect(overlapOf("192.0.2.10-192.0.2.20", "2001:db8::/120", "192.0.2.21-192.0.2.30")).toBeUndefined();
    expect(overlapOf("192.0.2.20-192.0.2.30", "192.0.2.0/28", "192.0.2.10-192.0.2.12")).toEqual(["192.0.2.0/28", "192.0.2.10-192.0.2.12"]);
    expect(overlapOf("192.0.2.1", "192.0.2.1")).toEqual(["192.0.2.1", "192.0.2.1"]);
  });
});

describe("AddressPool", () => {
  it("gives the first address that is free, range after range, of the family asked for", () => {
    const pool = new AddressPool(["192.0.2.254-192.0.3.0", "2001:db8::ffff-2001:db8::1:1", "192.0.2.7"].map(parseRange));
    const taken: string[] = [];
    for (
      let address = pool.firstFree("IPv4", (a) => taken.includes(a));
      address;
      address = pool.firstFree("IPv4", (a) => taken.includes(a))
    )
      taken.push(address);
    expect(taken).toEqual(["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.2.7"]);
    expect(pool.firstFree("IPv6", (a) => a === "2001:db8::ffff")).toBe("2001:db8::1:0");
    expect(["192.0.2.7", "192.0.2.8", "2001:db8::1:1", "nothing"].map((a) => pool.contains(a))).toEqual([true, false, true, false]);
  });
});
