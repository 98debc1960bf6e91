// The downward API: fields of the pod and resources of a container as text, for environment variables and volume files.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from "../../api/types/core-v1.ts";
import { findContainer } from "../pods/pod-spec.ts";

/** Addresses that are known later than the specification. */
export interface DownwardContext {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  /** By resource name: what a missing limit stands for. */
  readonly allocatable: Readonly<Record<string, string | number>>;
}

export function fieldValue(pod: Pod, { fieldPath }: ObjectFieldSelector, context: DownwardContext): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath);
  if (subscript) return pod.metadata[subscript[1] as "labels" | "annotations"]?.[subscript[2] as string] ?? "";
  switch (fieldPath) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace;
    case "metadata.uid":
      return pod.metadata.uid;
    case "metadata.labels":
      return mapText(pod.metadata.labels);
    case "metadata.annotations":
      return mapText(pod.metadata.annotations);
    case "spec.nodeName":
      return pod.spec.nodeName ?? "";
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "";
    case "spec.restartPolicy":
      return pod.spec.restartPolicy ?? "";
    case "status.hostIP":
      return context.hostIPs[0] ?? "";
    case "status.hostIPs":
      return context.hostIPs.join(",");
    case "status.podIP":
      return context.podIPs[0] ?? "";
    case "status.podIPs":
      return context.podIPs.join(",");
    default:
      throw new Error(`unsupported fieldPath: ${fieldPath}`);
  }
}

export function resourceValue(pod: Pod, container: Container, selector: ResourceFieldSelector, context: DownwardContext): string {
  const of = selector.containerName ? findContainer(pod.spec, selector.containerName) : container;
  if (!of) throw new Error(`container ${selector.containerName} not found`);
  const [kind, ...rest] = selector.resource.split(".");
  const name = rest.join(".");
  const list = kind === "limits" ? of.resources?.limits : kind === "requests" ? of.resources?.requests : undefined;
  const amount = parseQuantity(list?.[name] ?? (kind === "limits" ? (context.allocatable[name] ?? 0) : 0));
  const divisor = parseQuantity(selector.divisor ?? 1);
  const by = divisor.isZero ? parseQuantity(1) : divisor;
  if (name === "cpu") return String(Math.ceil(amount.milliValue() / by.milliValue()));
  if (name === "memory" || name === "ephemeral-storage" || name.startsWith("hugepages-"))
    return String(Math.ceil(amount.value() / by.value()));
  throw new Error(`unsupported container resource : ${selector.resource}`);
}

/** One `key="value"` a line, sorted by key. */
function mapText(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${quoted(map?.[key] ?? "")}`)
    .join("\n");
}

/** As Go's %q writes a string: JSON's escapes, and \xNN or \uNNNN for what cannot be printed. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/\\u00([01][0-9a-f])|\\b|\\f|\x7f/g, (written, hex: string | undefined) => {
    if (written === "\x7f") return "\\x7f";
    if (hex === "07") return "\\a";
    if (hex === "0b") return "\\v";
    return hex === undefined ? written : `\\x${hex}`;
  });
}
