// The ranges of addresses a cluster is given: each must be one, with at most one of each family for a purpose, and none may
// share addresses with another one, or packets would go to the wrong of two places.
import { cidrsOverlap, parseCIDR } from "../../api/meta/ip.ts";

export interface RangesOf {
  /** "--cluster-cidr". */
  readonly flag: string;
  readonly cidrs: readonly string[];
}

/** What is wrong with the ranges, in one line for a person; undefined when nothing is. */
export function rangeProblem(ranges: readonly RangesOf[]): string | undefined {
  const seen: { readonly flag: string; readonly text: string; readonly cidr: NonNullable<ReturnType<typeof parseCIDR>> }[] = [];
  for (const { flag, cidrs } of ranges) {
    const families = new Set<number>();
    for (const text of cidrs) {
      const cidr = parseCIDR(text);
      if (!cidr) return `${flag} ${text}: expected an address range such as 10.244.0.0/16`;
      if (families.has(cidr.network.length)) return `${flag} ${cidrs.join(",")}: expected at most one range of each family`;
      families.add(cidr.network.length);
      const other = seen.find((each) => cidrsOverlap(each.cidr, cidr));
      if (other) return `${flag} ${text} overlaps with ${other.flag} ${other.text}; choose another range`;
      seen.push({ flag, text, cidr });
    }
  }
  return undefined;
}
