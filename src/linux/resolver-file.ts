// Which of the machine's files names resolvers that others reach too. /etc/resolv.conf often names a stub on loopback, which
// means something else in another network namespace; those who run the stub keep the real ones beside it.
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

export interface ResolverFile {
  readonly path: string;
  readonly nameservers: readonly string[];
}

const usual = "/etc/resolv.conf";
/** systemd-resolved's and NetworkManager's. */
const behindStubs = ["/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];

/** The first file with a name server that is not on loopback; /etc/resolv.conf where there is none. */
export async function findResolverFile(candidates: readonly string[] = [usual, ...behindStubs]): Promise<ResolverFile> {
  for (const path of candidates) {
    const nameservers = nameserversOf(await readOptional(path));
    if (nameservers.some((address) => !isLoopbackText(address))) return { path, nameservers };
  }
  const [first = usual] = candidates;
  return { path: first, nameservers: nameserversOf(await readOptional(first)) };
}

/** As resolv.conf(5) has them. */
export function nameserversOf(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const [keyword, address = ""] = line.trim().split(/\s+/);
    return keyword === "nameserver" && isIP(address.split("%")[0] ?? "") ? [address] : [];
  });
}

export function isLoopbackText(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

async function readOptional(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
