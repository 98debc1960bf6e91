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

/** Why something is no list, in upstream's words; undefined for what is one. */
export function cpuListProblem(written: string): string | undefined {
  for (const part of written.split(",")) {
    const bounds = part.trim().split("-").slice(0, 2);
    const wrong = bounds.find((bound) => !/^\d+$/.test(bound));
    if (wrong !== undefined) return `strconv.Atoi: parsing ${JSON.stringify(wrong)}: invalid syntax`;
    const [first = 0, last = first] = bounds.map(Number);
    if (last < first) return `invalid range ${JSON.stringify(part)} (${first} > ${last})`;
    if (last > maxCpu) return `no machine has a CPU ${last}`;
  }
  return parseCpuList(written) ? undefined : `no list of CPUs: ${JSON.stringify(written)}`;
}
