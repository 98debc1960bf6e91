// Namespaces, nodes and what an administrator sets up for all: limit ranges, quotas, priority and runtime classes.
import { randomUUID } from "node:crypto";
import {
  defaultLimitRange,
  defaultNamespace,
  defaultNode,
  defaultPriorityClass,
  defaultResourceQuota,
} from "../../../api/defaults/cluster.ts";
import { componentStatusTable, namespaceTable, resourceQuotaTable } from "../../../api/encode/table/core.ts";
import { nodeTable } from "../../../api/encode/table/nodes.ts";
import { priorityClassTable, runtimeClassTable } from "../../../api/encode/table/policy.ts";
import { cidrWarnings } from "../../../api/meta/ip.ts";
import { isDNS1123Label } from "../../../api/meta/names.ts";
import { parseQuantity } from "../../../api/meta/quantity.ts";
import {
  componentstatuses,
  limitranges,
  namespaces,
  nodes,
  priorityclasses,
  resourcequotas,
  runtimeclasses,
} from "../../../api/resources.generated.ts";
import type { Namespace, Node, ResourceQuota } from "../../../api/types/core-v1.ts";
import type { RuntimeClass } from "../../../api/types/node-v1.ts";
import { deprecatedNodeLabel } from "../../../api/validation/deprecated-labels.ts";
import { validateNamespace, validateNamespaceStatus, validateNode, validateNodeUpdate } from "../../../api/validation/node.ts";
import { withoutTrailingDash } from "../../../api/validation/object-meta.ts";
import { validatePriorityClass, validatePriorityClassUpdate, validateRuntimeClass } from "../../../api/validation/policy.ts";
import { validateLimitRange, validateResourceQuota, validateResourceQuotaStatus } from "../../../api/validation/quota.ts";

import { withStatusOf } from "../plain-resource.ts";
import { describe, withFirstGeneration, withOnlyStatus } from "./describe.ts";

const clusterFinalizer = "kubernetes";

/** Active, and kept until the namespace controller has emptied it. */
function withNamespaceFinalizer(namespace: Namespace): Namespace {
  const finalizers = namespace.spec?.finalizers ?? [];
  const all = finalizers.includes(clusterFinalizer) ? finalizers : [...finalizers, clusterFinalizer];
  return { ...defaultNamespace(namespace), spec: { ...namespace.spec, finalizers: all }, status: { phase: "Active" } };
}

export const namespaceDefinition = describe<Namespace>(namespaces, {
  metadataOnUpdate: ["whole", "changes"],
  defaults: defaultNamespace,
  validateName: (name, prefix) => isDNS1123Label(prefix ? withoutTrailingDash(name) : name),
  countsGeneration: false,
  create: { prepare: withNamespaceFinalizer, validate: validateNamespace },
  update: {
    validate: validateNamespace,
    prepare: (namespace, old) => {
      const { finalizers: _, ...spec } = namespace.spec ?? {};
      const { finalizers } = old.spec ?? {};
      return withStatusOf({ ...namespace, spec: finalizers ? { ...spec, finalizers } : spec }, old);
    },
  },
  status: { validate: validateNamespaceStatus },
  deletionReturnsObject: true,
  selectableFields: { "status.phase": ({ status }) => status?.phase ?? "" },
  table: namespaceTable,
});

/** Configuration of kubelets by objects is gone; its fields are kept only where they are already. */
function withoutConfigSource(node: Node, old: Node | undefined): Node {
  if (!node.spec?.configSource || old?.spec?.configSource) return node;
  const { configSource: _, ...spec } = node.spec;
  return { ...node, spec };
}

function withoutConfigStatus(node: Node, old: Node | undefined): Node {
  if (!node.status?.config || old?.status?.config) return node;
  const { config: _, ...status } = node.status;
  return { ...node, status };
}

const nodeWarnings = ({ spec }: Node): string[] => [
  ...(spec?.configSource ? ["spec.configSource: the feature is removed"] : []),
  ...(spec?.externalID ? ["spec.externalID: this field is deprecated, and is unused by Kubernetes"] : []),
  ...(spec?.podCIDRs ?? []).flatMap((cidr, i) => cidrWarnings(`spec.podCIDRs[${i}]`, cidr)),
];

export const nodeDefinition = describe<Node>(nodes, {
  metadataOnUpdate: ["whole", "changes"],
  defaults: defaultNode,
  countsGeneration: false,
  // A kubelet registers its node with the status it has.
  create: {
    prepare: (node) => withoutConfigStatus(withoutConfigSource(node, undefined), undefined),
    validate: validateNode,
    warnings: nodeWarnings,
  },
  update: {
    prepare: (node, old) => withoutConfigSource(withStatusOf(node, old), old),
    validate: (node, old) => [...validateNode(node), ...validateNodeUpdate(node, old)],
    warnings: nodeWarnings,
  },
  status: { prepare: (node, old) => withoutConfigStatus(withOnlyStatus(node, old), old), validate: validateNodeUpdate },
  selectableFields: { "spec.unschedulable": ({ spec }) => String(spec?.unschedulable ?? false) },
  table: nodeTable,
});

export const componentStatusDefinition = describe(componentstatuses, {
  deprecation: "v1 ComponentStatus is deprecated in v1.19+",
  table: componentStatusTable,
});

export const limitRangeDefinition = describe(limitranges, {
  metadataOnUpdate: ["whole"],
  defaults: defaultLimitRange,
  create: {
    validate: validateLimitRange,
    prepare: (range) => (range.metadata.name ? range : { ...range, metadata: { ...range.metadata, name: randomUUID() } }),
  },
  update: { validate: validateLimitRange },
  allowCreateOnUpdate: true,
});

/** Requests above the limits of the same quota can never be used up. */
function quotaWarnings({ spec }: ResourceQuota): string[] {
  const hard = spec?.hard ?? {};
  return ["cpu", "memory", "storage", "ephemeral-storage"].flatMap((name) => {
    const bare = name === "cpu" || name === "memory";
    const request = hard[`requests.${name}`] === undefined && bare ? name : `requests.${name}`;
    const [requested, limit] = [hard[request], hard[`limits.${name}`]];
    if (requested === undefined || limit === undefined || parseQuantity(requested).compare(parseQuantity(limit)) <= 0) return [];
    return [`ResourceQuota ${request} (${requested}) should be less than limits.${name} (${limit})`];
  });
}

export const resourceQuotaDefinition = describe<ResourceQuota>(resourcequotas, {
  defaults: defaultResourceQuota,
  countsGeneration: false,
  create: { validate: (quota) => validateResourceQuota(quota), warnings: quotaWarnings },
  update: { validate: validateResourceQuota },
  status: { validate: validateResourceQuotaStatus },
  deletionReturnsObject: true,
  table: resourceQuotaTable,
});

export const priorityClassDefinition = describe(priorityclasses, {
  defaults: defaultPriorityClass,
  create: { prepare: withFirstGeneration, validate: validatePriorityClass },
  update: { validate: validatePriorityClassUpdate },
  table: priorityClassTable,
});

function runtimeClassWarnings({ scheduling }: RuntimeClass): string[] {
  return Object.keys(scheduling?.nodeSelector ?? {}).flatMap((key) => {
    const text = deprecatedNodeLabel(key);
    return text === undefined ? [] : [`scheduling.nodeSelector: ${text}`];
  });
}

export const runtimeClassDefinition = describe<RuntimeClass>(runtimeclasses, {
  metadataOnUpdate: ["whole", "changes"],
  create: { validate: (runtimeClass) => validateRuntimeClass(runtimeClass), warnings: runtimeClassWarnings },
  update: { validate: validateRuntimeClass, warnings: runtimeClassWarnings },
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  table: runtimeClassTable,
});
