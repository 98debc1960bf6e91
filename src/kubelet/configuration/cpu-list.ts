// Lists of CPUs as the kernel writes them: "0-2,7".
const maxCpu = 1 << 16;

/** The numbers, each once; undefined for what is no list. */
export function parseCpuList(written: string): readonly number[] | undefined {
  const cpus = new Set<number>();
  for (const part of written.split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim());
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > maxCpu) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus];
}
