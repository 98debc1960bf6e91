// Which huge pages an empty directory on them has: those its medium names ("HugePages-2Mi"), or, with the medium "HugePages",
// the one size that the pod asks for.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Pod } from "../../api/types/core-v1.ts";

export const isHugePageMedium = (medium: string): boolean => medium === "HugePages" || medium.startsWith("HugePages-");

/** In bytes. Throws an Error with upstream's message. */
export function hugePageBytes(medium: string, { spec }: Pod): number {
  const named = medium === "HugePages" ? undefined : parseQuantity(medium.slice("HugePages-".length)).value();
  const requests = [spec, ...spec.containers, ...(spec.initContainers ?? [])].flatMap((c) => Object.keys(c.resources?.requests ?? {}));
  const asked = requests
    .filter((name) => name.startsWith("hugepages-"))
    .map((name) => parseQuantity(name.slice("hugepages-".length)).value());
  const sizes = new Set(named === undefined ? asked : asked.filter((bytes) => bytes === named));
  if (sizes.size > 1) throw new Error(`medium: ${medium} can't be used if container requests multiple huge page sizes`);
  const [bytes] = sizes;
  if (bytes === undefined)
    throw new Error(`medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`);
  return bytes;
}
