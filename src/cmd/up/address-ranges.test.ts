import { describe, expect, test } from "vitest";
import { rangeProblem } from "./address-ranges.ts";

describe("rangeProblem()", () => {
  const pods = { flag: "--cluster-cidr", cidrs: ["10.244.0.0/16", "fd00:10:244::/56"] };

  test("finds nothing wrong with ranges that lie apart", () => {
    expect(rangeProblem([pods, { flag: "--node-cidr", cidrs: ["172.29.0.0/24", "fd00:172:29::/64"] }])).toBeUndefined();
  });

  test.each([
    [
      "one within the other",
      ["10.244.7.0/24"],
      "--node-cidr 10.244.7.0/24 overlaps with --cluster-cidr 10.244.0.0/16; choose another range",
    ],
    ["one around the other", ["10.0.0.0/8"], "--node-cidr 10.0.0.0/8 overlaps with --cluster-cidr 10.244.0.0/16; choose another range"],
    ["IPv6", ["fd00:10:244:3::/64"], "--node-cidr fd00:10:244:3::/64 overlaps with --cluster-cidr fd00:10:244::/56; choose another range"],
    [
      "two of a family",
      ["172.29.0.0/24", "172.30.0.0/24"],
      "--node-cidr 172.29.0.0/24,172.30.0.0/24: expected at most one range of each family",
    ],
    ["no range", ["172.29.0.0"], "--node-cidr 172.29.0.0: expected an address range such as 10.244.0.0/16"],
  ])("refuses %s", (_what, cidrs, message) => {
    expect(rangeProblem([pods, { flag: "--node-cidr", cidrs }])).toBe(message);
  });
});
