// The rules upstream's portmap plugin made with iptables, found again in what iptables-save prints: jumps of the chain
// CNI-HOSTPORT-DNAT that carry the network's and the container's name in a comment, and the chains they jump to. Pure.

/** The input for iptables-restore that takes those of one container away. Undefined when there are none. */
export function containerRuleRemoval(saved: string, network: string, containerId: string): string | undefined {
  return ruleRemoval(saved, `name: \\"${network}\\" id: \\"${containerId}\\"`);
}

/** Of all containers of a network. */
export function networkRuleRemoval(saved: string, network: string): string | undefined {
  return ruleRemoval(saved, `name: \\"${network}\\"`);
}

function ruleRemoval(saved: string, comment: string): string | undefined {
  const jumps = saved.split("\n").filter((line) => line.startsWith("-A CNI-HOSTPORT-") && line.includes(comment));
  if (jumps.length === 0) return undefined;
  const chains = new Set(jumps.flatMap((line) => / -j (CNI-DN-\w+)/.exec(line)?.[1] ?? []));
  return [
    "*nat",
    ...jumps.map((line) => line.replace(/^-A/, "-D")),
    ...[...chains].flatMap((chain) => [`-F ${chain}`, `-X ${chain}`]),
    "COMMIT",
    "",
  ].join("\n");
}
