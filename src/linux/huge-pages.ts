// The huge pages the machine keeps: their sizes, and how many there are of each.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFile } from "./host-file.ts";

export interface HugePages {
  readonly pageBytes: number;
  readonly pages: number;
}

/** By size; none where the kernel has none. */
export async function readHugePages(root = "/sys/kernel/mm/hugepages"): Promise<readonly HugePages[]> {
  const names = await readdir(root).catch(() => [] as string[]);
  const sizes = names.flatMap((name) => /^hugepages-(\d+)kB$/.exec(name)?.[1] ?? []);
  const found = sizes.map(async (kibi) => ({
    pageBytes: Number(kibi) * 1024,
    pages: Number(await hostFile(join(root, `hugepages-${kibi}kB`, "nr_hugepages"))) || 0,
  }));
  return (await Promise.all(found)).sort((a, b) => a.pageBytes - b.pageBytes);
}

const units = ["", "K", "M", "G", "T"] as const;

/** As control groups call the size: "2MB". */
export function pageSizeName(pageBytes: number): string {
  let [size, unit] = [pageBytes, 0];
  while (size % 1024 === 0 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size}${units[unit] ?? ""}B`;
}

/** The resource's name in Kubernetes: "hugepages-2Mi". */
export function hugePagesResource(pageBytes: number): string {
  const name = pageSizeName(pageBytes).slice(0, -1);
  return `hugepages-${name}${/[KMGT]$/.test(name) ? "i" : ""}`;
}
