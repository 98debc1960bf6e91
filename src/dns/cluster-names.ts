// Which record of the cluster a name asks for: the grammar of the Kubernetes DNS specification 1.1.0, without a look at
// what there is. Names of addresses (in-addr.arpa, ip6.arpa) are read here too.
import { formatIP } from "../api/meta/ip.ts";

export type ClusterName =
  | { readonly kind: "apex" }
  /** Nothing has this name, but something below it: "svc". */
  | { readonly kind: "inner" }
  | { readonly kind: "version" }
  | { readonly kind: "name-server" }
  | { readonly kind: "namespace"; readonly namespace: string }
  | { readonly kind: "pod"; readonly namespace: string; readonly address: string | undefined }
  | { readonly kind: "service"; readonly namespace: string; readonly service: string; readonly below: ServicePart }
  | { readonly kind: "none" };

/** What of a service: itself, one of its endpoints, or one of its ports. */
export type ServicePart =
  | { readonly kind: "itself" }
  | { readonly kind: "endpoint"; readonly hostname: string }
  | { readonly kind: "protocol"; readonly protocol: string }
  | { readonly kind: "port"; readonly port: string; readonly protocol: string };

/** `labels`: below the cluster's domain, first one first, in lower case. */
export function parseClusterName(labels: readonly string[]): ClusterName {
  const last = labels.at(-1);
  if (last === undefined) return { kind: "apex" };
  if (labels.length === 1 && last === "dns-version") return { kind: "version" };
  if (last === "dns") return labels.length === 1 ? { kind: "inner" } : nameServer(labels);
  if (last !== "svc" && last !== "pod") return { kind: "none" };
  const namespace = labels.at(-2);
  if (namespace === undefined) return { kind: "inner" };
  const name = labels.at(-3);
  if (name === undefined) return { kind: "namespace", namespace };
  if (last === "pod") return labels.length === 3 ? { kind: "pod", namespace, address: podAddress(name) } : { kind: "none" };
  const below = servicePart(labels.slice(0, -3));
  return below ? { kind: "service", namespace, service: name, below } : { kind: "none" };
}

function nameServer(labels: readonly string[]): ClusterName {
  return labels.length === 2 && labels[0] === "ns" ? { kind: "name-server" } : { kind: "none" };
}

function servicePart(labels: readonly string[]): ServicePart | undefined {
  const [first, second] = labels;
  if (first === undefined) return { kind: "itself" };
  if (second === undefined)
    return first.startsWith("_") ? { kind: "protocol", protocol: first.slice(1) } : { kind: "endpoint", hostname: first };
  if (labels.length > 2 || !first.startsWith("_") || !second.startsWith("_")) return undefined;
  return { kind: "port", port: first.slice(1), protocol: second.slice(1) };
}

/** "10-244-0-7" and "fd00--7" as addresses. */
function podAddress(label: string): string | undefined {
  const v4 = label.split("-");
  if (v4.length === 4 && v4.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return v4.join(".");
  return canonicalIPv6(label.replaceAll("-", ":"));
}

function canonicalIPv6(text: string): string | undefined {
  // The URL parser knows every form of an address; a zone or a mapped IPv4 part cannot be written in a label.
  if (!/^[0-9a-f:]+$/.test(text) || !URL.canParse(`http://[${text}]/`)) return undefined;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

/** The hostname of an endpoint that was given none: its address with dashes. */
export function addressLabel(address: string): string {
  const label = address.replace(/[.:]/g, "-");
  // A label does not begin or end with a dash.
  return `${label.startsWith("-") ? "0" : ""}${label}${label.endsWith("-") ? "0" : ""}`;
}

/** The address whose name is asked for; undefined where the name is not that of one. */
export function reverseAddress(labels: readonly string[]): string | undefined {
  const [zone, digits] = [labels.slice(-2), labels.slice(0, -2).reverse()];
  if (zone[1] !== "arpa") return undefined;
  if (zone[0] === "in-addr" && digits.length === 4)
    return digits.every((d) => /^(0|[1-9]\d{0,2})$/.test(d) && Number(d) <= 255) ? digits.join(".") : undefined;
  if (zone[0] !== "ip6" || digits.length !== 32 || !digits.every((d) => /^[0-9a-f]$/.test(d))) return undefined;
  return formatIP(Array.from({ length: 16 }, (_, i) => Number.parseInt(`${digits[2 * i]}${digits[2 * i + 1]}`, 16)));
}
