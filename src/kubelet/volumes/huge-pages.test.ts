import { expect, test } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { hugePageBytes, isHugePageMedium } from "./huge-pages.ts";

const podOf = (...requests: readonly Readonly<Record<string, string>>[]): Pod =>
  ({ spec: { containers: requests.map((of, i) => ({ name: `c${i}`, resources: { requests: of } })) } }) as unknown as Pod; // what is looked at

test("an empty directory has the pages its medium names, or the one size the pod asks for", () => {
  const [small, large] = [{ "hugepages-2Mi": "4Mi" }, { "hugepages-1Gi": "1Gi", memory: "1Gi" }];
  expect(["HugePages", "HugePages-2Mi", "Memory", ""].map(isHugePageMedium)).toEqual([true, true, false, false]);
  expect(hugePageBytes("HugePages", podOf(small, small))).toBe(2 ** 21);
  expect(hugePageBytes("HugePages-1Gi", podOf(small, large))).toBe(2 ** 30);
  const ofPod = { spec: { resources: { requests: small }, containers: [] } } as unknown as Pod; // what is looked at
  expect(hugePageBytes("HugePages", ofPod)).toBe(2 ** 21);
  expect(() => hugePageBytes("HugePages", podOf(small, large))).toThrow(
    "medium: HugePages can't be used if container requests multiple huge page sizes",
  );
  expect(() => hugePageBytes("HugePages-1Gi", podOf(small))).toThrow(
    "medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages",
  );
});
