// The definitions of the resources that a routed pod network is managed by, with the fields that Calico's have: objects of
// an existing installation are taken as they are. What cannot be said in a schema (pools that overlap) is said by pools.ts.

import type { New } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { groupResourceOf } from "../api/resource-type.ts";
import type { CustomResourceDefinition, JSONSchemaProps } from "../api/types/apiextensions-v1.ts";
import { blockaffinities, ipamblocks, ipamconfigs, ipamhandles, ippools } from "./resources.ts";

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

const poolFields: Fields = {
  cidr: described(text, "Range of the pool. It overlaps with no other pool, nor with the services' range."),
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

interface Columns {
  readonly [name: string]: string;
}

/** All of them, to be created or applied. */
export const calicoDefinitions: readonly New<CustomResourceDefinition>[] = [
  definition(ippools, poolFields, ["cidr"], {
    ...{ CIDR: ".spec.cidr", NAT: ".spec.natOutgoing", IPIP: ".spec.ipipMode", VXLAN: ".spec.vxlanMode" },
    ...{ Disabled: ".spec.disabled", Selector: ".spec.nodeSelector" },
  }),
  definition(ipamblocks, blockFields, ["allocations", "attributes", "cidr", "strictAffinity", "unallocated"], {
    CIDR: ".spec.cidr",
    Affinity: ".spec.affinity",
  }),
  definition(blockaffinities, { cidr: text, deleted: text, node: text, state: text, type: text }, ["cidr", "deleted", "node", "state"], {
    ...{ Node: ".spec.node", CIDR: ".spec.cidr", State: ".spec.state" },
  }),
  definition(ipamhandles, { block: mapOf(whole), deleted: yesNo, handleID: text }, ["block", "handleID"], {}),
  definition(
    ipamconfigs,
    {
      autoAllocateBlocks: { ...yesNo, default: true },
      maxBlocksPerHost: { ...whole, minimum: 0, maximum: 2 ** 31 - 1 },
      strictAffinity: yesNo,
    },
    ["strictAffinity"],
    {},
  ),
];

function definition(type: ResourceType, properties: Fields, required: readonly string[], columns: Columns): New<CustomResourceDefinition> {
  const spec = { type: "object", properties, required };
  const schema = {
    type: "object",
    properties: { apiVersion: text, kind: text, metadata: { type: "object" }, spec },
  };
  const additionalPrinterColumns = Object.entries(columns).map(([name, jsonPath]) => ({
    ...{ name, jsonPath, type: ["NAT", "Disabled"].includes(name) ? "boolean" : "string" },
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
