// Ingresses and their classes, network policies, service address ranges and addresses.
import { defaultIngressClass, defaultNetworkPolicy } from "../../../api/defaults/network.ts";
import {
  ingressClassTable,
  ingressTable,
  ipAddressTable,
  networkPolicyTable,
  serviceCidrTable,
} from "../../../api/encode/table/networking.ts";
import { cidrWarnings, ipWarnings, isValidIP } from "../../../api/meta/ip.ts";
import { ingressclasses, ingresses, ipaddresses, networkpolicies, servicecidrs } from "../../../api/resources.generated.ts";
import type { Ingress, NetworkPolicy, NetworkPolicyPeer } from "../../../api/types/networking-v1.ts";
import { validateIngress, validateIngressClass, validateIngressStatus } from "../../../api/validation/ingress.ts";
import { validateIPAddress, validateNetworkPolicy, validateServiceCIDR } from "../../../api/validation/network-policy.ts";
import { checked, describe, statusKeepsMetadata, withStatusKeepingMetadata } from "./describe.ts";

const classAnnotation = "kubernetes.io/ingress.class";

export const ingressDefinition = describe<Ingress>(ingresses, {
  metadataOnUpdate: ["changes", "whole"],
  create: {
    validate: (ingress) => validateIngress(ingress),
    warnings: ({ metadata, spec }) =>
      metadata.annotations?.[classAnnotation] !== undefined && spec?.ingressClassName === undefined
        ? [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`]
        : [],
  },
  update: { validate: validateIngress },
  status: {
    validate: validateIngressStatus,
    warnings: ({ status }) =>
      (status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }, i) =>
        ip === "" ? [] : ipWarnings(`status.loadBalancer.ingress[${i}]`, ip),
      ),
  },
  table: ingressTable,
});

export const ingressClassDefinition = describe(ingressclasses, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultIngressClass,
  countsGeneration: true,
  ...checked(validateIngressClass),
  table: ingressClassTable,
});

function peerWarnings(peers: readonly NetworkPolicyPeer[] | undefined, field: string): string[] {
  return (peers ?? []).flatMap(({ ipBlock }, j) => {
    if (!ipBlock) return [];
    const at = `${field}[${j}].ipBlock`;
    return [
      ...cidrWarnings(`${at}.cidr`, ipBlock.cidr),
      ...(ipBlock.except ?? []).flatMap((cidr, k) => cidrWarnings(`${at}.except[${k}]`, cidr)),
    ];
  });
}

const policyWarnings = ({ spec }: NetworkPolicy): string[] => [
  ...(spec?.ingress ?? []).flatMap((rule, i) => peerWarnings(rule.from, `spec.ingress[${i}].from`)),
  ...(spec?.egress ?? []).flatMap((rule, i) => peerWarnings(rule.to, `spec.egress[${i}].to`)),
];

export const networkPolicyDefinition = describe<NetworkPolicy>(networkpolicies, {
  defaults: defaultNetworkPolicy,
  countsGeneration: "to the letter",
  create: { validate: (policy) => validateNetworkPolicy(policy), warnings: policyWarnings },
  update: { validate: validateNetworkPolicy, warnings: policyWarnings },
  table: networkPolicyTable,
});

export const serviceCidrDefinition = describe(servicecidrs, {
  ...checked(validateServiceCIDR),
  countsGeneration: false,
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusKeepingMetadata },
  table: serviceCidrTable,
});

export const ipAddressDefinition = describe(ipaddresses, {
  metadataOnUpdate: ["whole", "changes"],
  ...checked(validateIPAddress),
  validateName: isValidIP,
  table: ipAddressTable,
});
