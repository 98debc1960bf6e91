// What network policies need to know of a pod. Addresses are parsed: what the API server holds is text that ends up in packet
// rules. Pods that use the node's network have no address of their own, and pods that have ended have given theirs back: neither
// are there for policies.
import { parseIP } from "../api/meta/ip.ts";
import { keyOf } from "../api/meta/object.ts";
import type { Labels } from "../api/meta/selectors.ts";
import { isPodTerminal } from "../api/semantics/pod-status.ts";
import type { Container, Pod } from "../api/types/core-v1.ts";

export type Protocol = "tcp" | "udp" | "sctp";

export interface PodPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface PodView {
  /** "namespace/name". */
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** In canonical form, of both families. */
  readonly addresses: readonly string[];
  readonly namedPorts: readonly PodPort[];
  /** Whether it is on this node. */
  readonly isLocal: boolean;
  /** Its addresses may have become another pod's. */
  readonly isEnding: boolean;
}

/**
 * Undefined where policies have nothing to do with the pod, or not yet. `given`: its addresses as this node knows them, before
 * and after the pod's status has them.
 */
export function viewOfPod(pod: Pod, nodeName: string, given?: readonly string[]): PodView | undefined {
  if (pod.spec?.hostNetwork === true || isPodTerminal(pod)) return undefined;
  const addresses = (given ?? reported(pod)).flatMap((text) => parseIP(text)?.canonical ?? []);
  if (addresses.length === 0) return undefined;
  return {
    key: keyOf(pod),
    namespace: pod.metadata.namespace ?? "",
    labels: pod.metadata.labels ?? {},
    addresses,
    namedPorts: namedPortsOf(pod),
    isLocal: pod.spec?.nodeName === nodeName,
    isEnding: pod.metadata.deletionTimestamp !== undefined,
  };
}

export function isSameView(a: PodView | undefined, b: PodView | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && JSON.stringify(a) === JSON.stringify(b));
}

const reported = ({ status }: Pod): readonly string[] => (status?.podIPs ?? [{ ip: status?.podIP }]).flatMap(({ ip }) => ip ?? []);

function namedPortsOf({ spec }: Pod): readonly PodPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...(spec?.containers ?? []), ...sidecars].flatMap(({ ports = [] }: Container) =>
    ports.flatMap(({ name, protocol, containerPort: port }) =>
      name === undefined || !isPort(port) ? [] : [{ name, protocol: protocolOf(protocol), port }],
    ),
  );
}

export const isPort = (port: unknown): port is number => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536;

/** TCP where nothing, or nothing that is known, is said. */
export function protocolOf(protocol: string | undefined): Protocol {
  return protocol === "UDP" ? "udp" : protocol === "SCTP" ? "sctp" : "tcp";
}
