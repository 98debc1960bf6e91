// The definitions of the resources that a routed pod network is managed by, with the fields that Calico's have: objects of
// an existing installation are taken as they are. What cannot be said in a schema (pools that overlap) is said by pools.ts.

import type { New } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { groupResourceOf } from "../api/resource-type.ts";
import type { CustomResourceDefinition, JSONSchemaProps, ValidationRule } from "../api/types/apiextensions-v1.ts";
import { bgpconfigurations, bgpfilters, bgppeers, blockaffinities, ipamblocks, ipamconfigs, ipamhandles, ippools } from "./resources.ts";

type Schema = JSONSchemaProps;
type Fields = Readonly<Record<string, Schema>>;

const text: Schema = { type: "string" };
const yesNo: Schema = { type: "boolean" };
const whole: Schema = { type: "integer" };
const wide: Schema = { type: "integer", format: "int64" };
const listOf = (items: Schema): Schema => ({ type: "array", items });
const mapOf = (additionalProperties: Schema): Schema => ({ type: "object", additionalProperties });
const described = (schema: Schema, description: string): Schema => ({ ...schema, description });

const encapsulation = (what: string): Schema => ({
  ...{ type: "string", enum: ["Never", "Always", "CrossSubnet"], default: "Never" },
  description: `When packets to the pool's addresses travel in ${what} between nodes; CrossSubnet: where there is a router between them.`,
});

const longestCidr = 43;

const cidrField: Schema = {
  ...{ type: "string", maxLength: longestCidr },
  description: "Range of the pool. It overlaps with no other pool, nor with the services' range.",
  "x-kubernetes-validations": [
    { rule: "isCIDR(self)", message: "must be a range of addresses, such as 10.244.0.0/16" },
    { rule: "self == oldSelf", message: "a pool keeps its range: make another one, and disable this one" },
  ],
};

/** What there is to say about fields of a pool together. */
const poolRules: readonly ValidationRule[] = [
  {
    rule: "!has(self.ipipMode) || !has(self.vxlanMode) || self.ipipMode == 'Never' || self.vxlanMode == 'Never'",
    message: "ipipMode and vxlanMode exclude each other",
  },
  {
    rule: "(has(self.blockSize) ? self.blockSize : 0) == (has(oldSelf.blockSize) ? oldSelf.blockSize : 0)",
    message: "a pool keeps the size of its blocks",
  },
];

const poolFields: Fields = {
  cidr: cidrField,
  blockSize: described(whole, "Prefix length of the blocks that nodes get: 20 to 32, default 26; of IPv6 116 to 128, default 122."),
  ipipMode: encapsulation("IPIP"),
  vxlanMode: encapsulation("VXLAN"),
  natOutgoing: described(yesNo, "Whether packets to addresses outside of all pools carry the node's address."),
  disabled: described(yesNo, "Whether no further addresses are given out."),
  disableBGPExport: described(yesNo, "Whether nodes do not tell their neighbours of the pool's blocks."),
  nodeSelector: described(text, "Which nodes give out addresses of the pool: an expression over their labels. Default all()."),
  namespaceSelector: described(text, "Kept, and not looked at."),
  allowedUses: { ...listOf({ type: "string" }), description: "Workload, Tunnel; default both." },
  assignmentMode: { type: "string", enum: ["Automatic", "Manual"], description: "Manual: for pods that name the pool alone." },
  ipip: { type: "object", description: "Of old objects: what ipipMode says now.", properties: { enabled: yesNo, mode: text } },
  "nat-outgoing": described(yesNo, "Of old objects: what natOutgoing says now."),
};

const attributes: Schema = { type: "object", properties: { handle_id: text, secondary: mapOf(text) } };

const blockFields: Fields = {
  cidr: text,
  affinity: described(text, "host:<node>, where the block is a node's."),
  affinityClaimTime: { type: "string", format: "date-time" },
  allocations: listOf({ type: "integer", nullable: true }),
  attributes: listOf(attributes),
  unallocated: listOf(whole),
  strictAffinity: yesNo,
  deleted: yesNo,
  sequenceNumber: { ...wide, default: 0 },
  sequenceNumberForAllocation: mapOf(wide),
};

const autonomousSystem: Schema = { ...wide, minimum: 1, maximum: 2 ** 32 - 1 };
const secretKey: Schema = {
  type: "object",
  properties: {
    secretKeyRef: {
      type: "object",
      properties: { name: text, key: text, optional: yesNo },
      required: ["key"],
      "x-kubernetes-map-type": "atomic",
    },
  },
};

const peerRules: readonly ValidationRule[] = [
  {
    rule: "has(self.peerIP) && self.peerIP != '' ? !has(self.peerSelector) || self.peerSelector == '' : has(self.peerSelector) && self.peerSelector != ''",
    message: "a peer has either an address (peerIP) or is nodes that are chosen (peerSelector)",
  },
  { rule: "!has(self.peerIP) || self.peerIP == '' || has(self.asNumber)", message: "a peer with an address has an asNumber" },
  {
    rule: "!has(self.node) || self.node == '' || !has(self.nodeSelector) || self.nodeSelector == ''",
    message: "node and nodeSelector exclude each other",
  },
];

const peerFields: Fields = {
  node: described(text, "The node the peer is for. Default all, or those that nodeSelector chooses."),
  nodeSelector: described(text, "Which nodes the peer is for: an expression over their labels."),
  peerIP: described(
    { ...text, maxLength: 64 },
    "Address of the peer, with or without a port: 192.0.2.254, 192.0.2.254:1179, [fd00::1]:1179.",
  ),
  asNumber: described(autonomousSystem, "The peer's autonomous system."),
  peerSelector: described(text, "Nodes to speak with in place of an address, both ways."),
  password: described(secretKey, "Key of a secret in kube-system that nodes may read."),
  keepOriginalNextHop: described(yesNo, "Whether the peer is told of routes with the router they came from."),
  sourceAddress: { type: "string", enum: ["UseNodeIP", "None"], description: "None: whatever address the way to the peer has." },
  maxRestartTime: described(text, "How long routes stay while the peer starts again, such as 120s."),
  numAllowedLocalASNumbers: { ...whole, minimum: 0, maximum: 10 },
  ttlSecurity: { ...whole, minimum: 1, maximum: 255, description: "How far the peer is; packets from further away are refused." },
  reachableBy: described(text, "Kept, and not looked at."),
  filters: described(listOf(text), "Names of BGPFilter objects, whose rules hold one after the other."),
};

const filterRules = (family: 4 | 6): Schema => ({
  ...listOf({
    type: "object",
    properties: {
      action: { type: "string", enum: ["Accept", "Reject"] },
      cidr: { ...text, maxLength: longestCidr },
      matchOperator: { type: "string", enum: ["Equal", "NotEqual", "In", "NotIn"] },
      prefixLength: {
        type: "object",
        properties: Object.fromEntries(["min", "max"].map((end) => [end, { ...whole, minimum: 0, maximum: family === 4 ? 32 : 128 }])),
      },
      source: { type: "string", enum: ["RemotePeers"] },
      interface: described(text, "A pattern of interfaces' names; not where routes are taken."),
    },
    required: ["action"],
    "x-kubernetes-validations": [
      { rule: "has(self.cidr) == has(self.matchOperator)", message: "cidr and matchOperator go together" },
      { rule: "!has(self.prefixLength) || has(self.cidr)", message: "prefixLength is that of routes within a cidr" },
    ],
  }),
  maxItems: 256,
});

const filterFields: Fields = {
  exportV4: described(filterRules(4), "Which routes peers are told; the first rule that fits decides."),
  importV4: described(filterRules(4), "Which routes are taken from peers; the first rule that fits decides."),
  exportV6: described(filterRules(6), "The same of IPv6."),
  importV6: described(filterRules(6), "The same of IPv6."),
};

const ranges: Schema = { ...listOf({ type: "object", properties: { cidr: text } }), maxItems: 256 };
const configurationFields: Fields = {
  asNumber: described(autonomousSystem, "Of nodes without the annotation projectcalico.org/ASNumber. Default 64512."),
  nodeToNodeMeshEnabled: described(yesNo, "Whether nodes on one link speak with each other, all with all. Default true."),
  nodeMeshPassword: described(secretKey, "Key of a secret in kube-system that nodes may read."),
  nodeMeshMaxRestartTime: described(text, "Kept, and not looked at."),
  listenPort: { ...whole, minimum: 1, maximum: 65_535, description: "Default 179." },
  serviceClusterIPs: described(ranges, "Ranges of cluster addresses that peers are told of."),
  serviceExternalIPs: described(ranges, "Ranges of external addresses that peers are told of, where a service has one."),
  serviceLoadBalancerIPs: described(ranges, "Ranges of load balancers' addresses that peers are told of."),
  communities: {
    ...listOf({ type: "object", properties: { name: text, value: { ...text, pattern: "^\\d+:\\d+(:\\d+)?$" } } }),
    ...{ maxItems: 256, description: "Names for communities: 65000:100 or 65000:100:200." },
  },
  prefixAdvertisements: {
    ...listOf({ type: "object", properties: { cidr: text, communities: listOf(text) } }),
    ...{ maxItems: 256, description: "Routes within the range are told with these communities, by name or value." },
  },
  logSeverityScreen: described(text, "Kept, and not looked at."),
  bindMode: described(text, "Kept, and not looked at."),
  ignoredInterfaces: described(listOf(text), "Kept, and not looked at."),
};

interface Columns {
  readonly [name: string]: string;
}

const columnTypes: Readonly<Record<string, "boolean" | "integer">> = {
  NAT: "boolean",
  Disabled: "boolean",
  Mesh: "boolean",
  AS: "integer",
};

/** All of them, to be created or applied. */
export const calicoDefinitions: readonly New<CustomResourceDefinition>[] = [
  definition({ type: ippools, rules: poolRules }, poolFields, ["cidr"], {
    ...{ CIDR: ".spec.cidr", NAT: ".spec.natOutgoing", IPIP: ".spec.ipipMode", VXLAN: ".spec.vxlanMode" },
    ...{ Disabled: ".spec.disabled", Selector: ".spec.nodeSelector" },
  }),
  definition({ type: ipamblocks }, blockFields, ["allocations", "attributes", "cidr", "strictAffinity", "unallocated"], {
    CIDR: ".spec.cidr",
    Affinity: ".spec.affinity",
  }),
  definition(
    { type: blockaffinities },
    { cidr: text, deleted: text, node: text, state: text, type: text },
    ["cidr", "deleted", "node", "state"],
    {
      ...{ Node: ".spec.node", CIDR: ".spec.cidr", State: ".spec.state" },
    },
  ),
  definition({ type: ipamhandles }, { block: mapOf(whole), deleted: yesNo, handleID: text }, ["block", "handleID"], {}),
  definition(
    { type: ipamconfigs },
    {
      autoAllocateBlocks: { ...yesNo, default: true },
      maxBlocksPerHost: { ...whole, minimum: 0, maximum: 2 ** 31 - 1 },
      strictAffinity: yesNo,
    },
    ["strictAffinity"],
    {},
  ),
  definition({ type: bgppeers, rules: peerRules }, peerFields, [], {
    ...{ Node: ".spec.node", "Peer IP": ".spec.peerIP", AS: ".spec.asNumber", Selector: ".spec.nodeSelector" },
  }),
  definition({ type: bgpfilters }, filterFields, [], {}),
  definition({ type: bgpconfigurations }, configurationFields, [], { AS: ".spec.asNumber", Mesh: ".spec.nodeToNodeMeshEnabled" }),
];

interface Defined {
  readonly type: ResourceType;
  readonly rules?: readonly ValidationRule[];
}

function definition(
  { type, rules = [] }: Defined,
  properties: Fields,
  required: readonly string[],
  columns: Columns,
): New<CustomResourceDefinition> {
  const spec = { type: "object", properties, required, ...(rules.length > 0 ? { "x-kubernetes-validations": rules } : {}) };
  const schema = {
    type: "object",
    properties: { apiVersion: text, kind: text, metadata: { type: "object" }, spec },
  };
  const additionalPrinterColumns = Object.entries(columns).map(([name, jsonPath]) => ({
    ...{ name, jsonPath, type: columnTypes[name] ?? "string" },
    priority: name === "Selector" ? 1 : 0,
  }));
  const age = { name: "Age", jsonPath: ".metadata.creationTimestamp", type: "date" };
  const { group, version, kind, resource: plural, singular } = type;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: groupResourceOf(type) },
    spec: {
      group,
      scope: "Cluster",
      names: { kind, listKind: `${kind}List`, plural, singular },
      versions: [
        {
          ...{ name: version, served: true, storage: true },
          schema: { openAPIV3Schema: schema },
          additionalPrinterColumns: [...additionalPrinterColumns, age],
        },
      ],
    },
  };
}
