// Warnings about ports of containers that meet each other: the same port twice, with or without a host port, or two ports
// of one name.
import type { ContainerPort, PodSpec } from "../types/core-v1.ts";
import { eachContainer } from "./pod-rules.ts";

interface KnownPort extends ContainerPort {
  readonly field: string;
}

export function portWarnings(spec: PodSpec, field: string): string[] {
  const warnings: string[] = [];
  const ports: KnownPort[] = [];
  eachContainer(spec, field, (container, path) => {
    for (const [i, port] of (container.ports ?? []).entries()) ports.push({ ...port, field: `${path}.ports[${i}]` });
  });
  for (const [i, port] of ports.entries()) {
    if (port.hostIP && !port.hostPort) warnings.push(`${port.field}: hostIP set without hostPort: ${goForm(port)}`);
    for (const other of ports.slice(0, i)) {
      const relation = relationOf(port, other);
      if (relation) warnings.push(`${port.field}: ${relation} with ${other.field}`);
    }
  }
  const names = new Map<string, string>();
  for (const { name, field: path } of ports) {
    if (!name) continue;
    const first = names.get(name);
    if (first === undefined) names.set(name, path);
    else
      warnings.push(
        `${path}: duplicate port name ${JSON.stringify(name)} with ${first}, services and probes that select ports by name will use ${first}`,
      );
  }
  return warnings;
}

function relationOf(port: ContainerPort, other: ContainerPort): string | undefined {
  if (port.containerPort !== other.containerPort || port.protocol !== other.protocol) return undefined;
  const [hostPort, otherPort] = [port.hostPort ?? 0, other.hostPort ?? 0];
  const [hostIP, otherIP] = [port.hostIP ?? "", other.hostIP ?? ""];
  if (hostIP === otherIP && hostPort === otherPort) return "duplicate port definition";
  if (hostPort === 0 || otherPort === 0) return "overlapping port definition";
  const oneIsAny = (hostIP === "") !== (otherIP === "");
  return hostPort === otherPort && oneIsAny ? "dangerously ambiguous port definition" : undefined;
}

/** A port as Go prints a structure with its field names. */
const goForm = ({ name = "", hostPort = 0, containerPort, protocol, hostIP = "" }: ContainerPort): string =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
