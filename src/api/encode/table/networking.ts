// Tables of the kinds of networking.k8s.io.
import type { Ingress, IngressClass, IngressRule, IPAddress, NetworkPolicy, ServiceCIDR } from "../../types/networking-v1.ts";
import { age, ageColumn, column, nameColumn, selectorText } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import { loadBalancerTexts } from "./services.ts";
import type { TableConvertor } from "./table.ts";

const maxHosts = 3;

/** The hosts of the first rules; "*" where none names one. */
function hostsText(rules: readonly IngressRule[] = []): string {
  const hosts: string[] = [];
  let more = false;
  for (const { host } of rules) {
    if (hosts.length === maxHosts) more = true;
    if (!more && host) hosts.push(host);
  }
  if (hosts.length === 0) return "*";
  return more ? `${hosts.join(",")} + ${rules.length - maxHosts} more...` : hosts.join(",");
}

export const ingressTable: TableConvertor<Ingress> = {
  columns: [
    nameColumn,
    column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
    column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
    column("Address", "Address is a list containing ingress points for the load-balancer"),
    column("Ports", "Ports of TLS configurations that open"),
    ageColumn,
  ],
  cells: (ingress, nowMs) => {
    const { metadata, spec, status } = ingress;
    return [
      metadata.name,
      spec?.ingressClassName ?? "<none>",
      hostsText(spec?.rules),
      loadBalancerTexts(status?.loadBalancer?.ingress).join(","),
      (spec?.tls ?? []).length > 0 ? "80, 443" : "80",
      age(ingress, nowMs),
    ];
  },
};

const defaultClassKey = "ingressclass.kubernetes.io/is-default-class";

export const ingressClassTable: TableConvertor<IngressClass> = {
  columns: [
    nameColumn,
    column("Controller", "Controller that is responsible for handling this class"),
    column("Parameters", "A reference to a resource with additional parameters"),
    ageColumn,
  ],
  cells: (ingressClass, nowMs) => {
    const { metadata, spec } = ingressClass;
    const parameters = spec?.parameters;
    const kind = parameters?.apiGroup === undefined ? parameters?.kind : `${parameters.kind}.${parameters.apiGroup}`;
    return [
      metadata.annotations?.[defaultClassKey] === "true" ? `${metadata.name} (default)` : metadata.name,
      spec?.controller ?? "",
      parameters ? `${kind}/${parameters.name}` : "<none>",
      age(ingressClass, nowMs),
    ];
  },
};

export const networkPolicyTable: TableConvertor<NetworkPolicy> = {
  columns: [nameColumn, column("Pod-Selector", texts.NetworkPolicySpec.podSelector), ageColumn],
  cells: (policy, nowMs) => [policy.metadata.name, selectorText(policy.spec?.podSelector), age(policy, nowMs)],
};

export const serviceCidrTable: TableConvertor<ServiceCIDR> = {
  columns: [nameColumn, column("CIDRs", texts.ServiceCIDRSpec.cidrs), ageColumn],
  cells: (range, nowMs) => [range.metadata.name, (range.spec?.cidrs ?? []).join(","), age(range, nowMs)],
};

/** "services/default/web". */
function parentText({ spec }: IPAddress): string {
  const parent = spec?.parentRef;
  if (!parent) return "<none>";
  const resource = parent.group ? `${parent.resource}.${parent.group}` : parent.resource;
  return [resource.toLowerCase(), ...(parent.namespace ? [parent.namespace] : []), parent.name].join("/");
}

export const ipAddressTable: TableConvertor<IPAddress> = {
  // The age has no column, as upstream has it.
  columns: [nameColumn, column("ParentRef", texts.IPAddressSpec.parentRef)],
  cells: (address, nowMs) => [address.metadata.name, parentText(address), age(address, nowMs)],
};
