// The kernel's settings a kubelet counts on: memory may be promised beyond what there is, and a kernel that has lost its way
// starts the machine again (protectKernelDefaults).
import { join } from "node:path";
import { hostFile } from "./host-file.ts";

const expected = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
} as const;

const readSysctl = (name: string): Promise<string> => hostFile(join("/proc/sys", name));

/** The first that is another, in upstream's words; undefined where all are as they should. */
export async function kernelProblem(read: (name: string) => Promise<string> = readSysctl): Promise<string | undefined> {
  for (const [name, value] of Object.entries(expected)) {
    const actual = (await read(name)).trim();
    if (actual !== String(value)) return `invalid kernel flag: ${name}, expected value: ${value}, actual value: ${actual}`;
  }
  return undefined;
}
