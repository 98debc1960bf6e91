// Defaults of namespaces, nodes, secrets, limit ranges, RBAC bindings and priority classes.

import { encodeBase64 } from "../meta/base64.ts";
import type { LimitRange, LimitRangeItem, Namespace, Node, NodeSpec, ResourceQuota, Secret } from "../types/core-v1.ts";
import type { ClusterRoleBinding, RoleBinding, Subject } from "../types/rbac-v1.ts";
import type { PriorityClass } from "../types/scheduling-v1.ts";
import { change, changeEach, fill } from "./fill.ts";
import { roundFields } from "./resource-list.ts";

/** Every namespace can be selected by its name. */
export function defaultNamespace(object: Namespace): Namespace {
  const namespace: Namespace = object.status?.phase ? object : { ...object, status: { ...object.status, phase: "Active" } };
  const { metadata } = namespace;
  if (!metadata.name || metadata.labels?.["kubernetes.io/metadata.name"] === metadata.name) return namespace;
  return { ...namespace, metadata: { ...metadata, labels: { ...metadata.labels, "kubernetes.io/metadata.name": metadata.name } } };
}

/** The first of a node's pod ranges has a field of its own, older than the list and the one that counts where both differ. */
function withBothRanges(spec: NodeSpec): NodeSpec {
  const { podCIDR, podCIDRs } = spec;
  const first = podCIDRs?.[0];
  if (podCIDR) return first === podCIDR ? spec : { ...spec, podCIDRs: [podCIDR] };
  return first ? { ...spec, podCIDR: first } : spec;
}

/** What can be allocated is all there is, unless the node says otherwise. */
export function defaultNode(given: Node): Node {
  const node = change(given, "spec", withBothRanges);
  return change(node, "status", (status) => {
    const rounded = roundFields(status, "capacity", "allocatable");
    return rounded.capacity ? fill(rounded, { allocatable: rounded.capacity }) : rounded;
  });
}

/** Plain texts become data, over what data says of the same keys. */
export function defaultSecret(secret: Secret): Secret {
  const { stringData, ...rest } = fill(secret, { type: "Opaque" });
  if (!stringData) return fill(secret, { type: "Opaque" });
  const data = { ...rest.data };
  for (const key in stringData) data[key] = encodeBase64(stringData[key] ?? "");
  return Object.keys(data).length === 0 ? rest : { ...rest, data };
}

/** A container limit's default and default request follow from its maximum, minimum and default. */
function defaultLimitItem(given: LimitRangeItem): LimitRangeItem {
  const item = roundFields(given, "max", "min", "default", "defaultRequest", "maxLimitRequestRatio");
  if (item.type !== "Container") return item;
  const byDefault = { ...item.max, ...item.default };
  const request = { ...item.min, ...byDefault, ...item.defaultRequest };
  return {
    ...item,
    ...(Object.keys(byDefault).length > 0 ? { default: byDefault } : {}),
    ...(Object.keys(request).length > 0 ? { defaultRequest: request } : {}),
  };
}

export const defaultLimitRange = (range: LimitRange): LimitRange =>
  change(range, "spec", (spec) => changeEach(spec, "limits", defaultLimitItem));

export const defaultResourceQuota = (quota: ResourceQuota): ResourceQuota =>
  change(
    change(quota, "spec", (spec) => roundFields(spec, "hard")),
    "status",
    (status) => roundFields(status, "hard", "used"),
  );

const rbacGroup = "rbac.authorization.k8s.io";

function defaultSubject(subject: Subject): Subject {
  if (subject.apiGroup) return subject;
  return subject.kind === "User" || subject.kind === "Group" ? { ...subject, apiGroup: rbacGroup } : subject;
}

export function defaultRoleBinding<B extends RoleBinding | ClusterRoleBinding>(binding: B): B {
  let b: RoleBinding = binding as RoleBinding;
  if (b.roleRef && !b.roleRef.apiGroup) b = { ...b, roleRef: { ...b.roleRef, apiGroup: rbacGroup } };
  return changeEach(b, "subjects", defaultSubject) as B;
}

export const defaultPriorityClass = (priorityClass: PriorityClass): PriorityClass =>
  fill(priorityClass, { preemptionPolicy: "PreemptLowerPriority" });
