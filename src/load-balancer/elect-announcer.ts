// Which node announces an address to the network outside. Every node decides alike from what all of them see (rendezvous
// hashing), so that an address moves only when its node goes. Pure.
import { createHash } from "node:crypto";

/** The node of these that has the address; undefined where there is none. */
export function electAnnouncer(address: string, nodeNames: Iterable<string>): string | undefined {
  let [best, bestWeight] = [undefined as string | undefined, ""];
  for (const name of nodeNames) {
    const weight = createHash("sha256").update(`${address} ${name}`).digest("hex");
    if (weight > bestWeight) [best, bestWeight] = [name, weight];
  }
  return best;
}
