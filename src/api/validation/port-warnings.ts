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
  const before = ports.length > 1 ? new KnownPorts() : undefined;
  let pairs = 0;
  for (const port of ports) {
    if (port.hostIP && !port.hostPort) warnings.push(`${port.field}: hostIP set without hostPort: ${goForm(port)}`);
    if (!before || pairs >= maxPairs) continue;
    for (const other of before.meeting(port).slice(0, maxPairs - pairs)) {
      warnings.push(`${port.field}: ${relationOf(port, other)} with ${other.field}`);
      pairs++;
    }
    before.add(port);
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

/** Pairs that are told: far more than anybody reads. Any number of equal ports makes a square of pairs. */
const maxPairs = 1000;

/** Ports by what others can meet them in, so that none is looked at that does not meet. */
class KnownPorts {
  readonly #byKey = new Map<string, KnownPort[]>();
  readonly #order = new Map<KnownPort, number>();

  add(port: KnownPort): void {
    this.#order.set(port, this.#order.size);
    const { whole, onHost, inPod } = keysOf(port);
    for (const key of [whole, onHost, inPod]) {
      const known = this.#byKey.get(key);
      if (known) known.push(port);
      else this.#byKey.set(key, [port]);
    }
  }

  /** Those that are the same port, or one of the same host port of which either is for all addresses, or without a host port. */
  meeting(port: KnownPort): readonly KnownPort[] {
    const { whole, onHost, inPod, onAnyAddress, withoutHost } = keysOf(port);
    const of = (key: string): readonly KnownPort[] => this.#byKey.get(key) ?? [];
    if (!port.hostPort) return of(inPod);
    const found = port.hostIP ? [...of(whole), ...of(onAnyAddress), ...of(withoutHost)] : [...of(onHost), ...of(withoutHost)];
    return found.length < 2 ? found : found.sort((a, b) => (this.#order.get(a) ?? 0) - (this.#order.get(b) ?? 0));
  }
}

interface PortKeys {
  readonly inPod: string;
  readonly onHost: string;
  readonly whole: string;
  readonly onAnyAddress: string;
  readonly withoutHost: string;
}

function keysOf({ containerPort, protocol, hostPort = 0, hostIP = "" }: ContainerPort): PortKeys {
  const inPod = `${containerPort} ${protocol}`;
  const onHost = `${inPod} ${hostPort}`;
  return { inPod, onHost, whole: `${onHost} ${hostIP}`, onAnyAddress: `${onHost} `, withoutHost: `${inPod} 0` };
}

/** Of ports that meet. */
function relationOf(port: ContainerPort, other: ContainerPort): string {
  const [hostPort, otherPort] = [port.hostPort ?? 0, other.hostPort ?? 0];
  if ((port.hostIP ?? "") === (other.hostIP ?? "") && hostPort === otherPort) return "duplicate port definition";
  return hostPort === 0 || otherPort === 0 ? "overlapping port definition" : "dangerously ambiguous port definition";
}

/** A port as Go prints a structure with its field names. */
const goForm = ({ name = "", hostPort = 0, containerPort, protocol, hostIP = "" }: ContainerPort): string =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
