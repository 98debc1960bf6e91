// Types of the variables that expressions of admission may read: the request, its namespace. The objects themselves are of no
// declared type: a policy is for many kinds.
import { boolType, dynType, intType, listOf, mapOf, stringType, timestampType } from "../../cel/types.ts";
import { structure } from "./structure.ts";

const strings = listOf(stringType);

export const userInfoType = structure("kubernetes.UserInfo", {
  username: stringType,
  uid: stringType,
  groups: strings,
  extra: mapOf(stringType, strings),
});

const kindType = structure("kubernetes.GroupVersionKind", { group: stringType, version: stringType, kind: stringType });
const resourceType = structure("kubernetes.GroupVersionResource", { group: stringType, version: stringType, resource: stringType });

export const admissionRequestType = structure("kubernetes.AdmissionRequest", {
  kind: kindType,
  resource: resourceType,
  subResource: stringType,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: stringType,
  name: stringType,
  namespace: stringType,
  operation: stringType,
  userInfo: userInfoType,
  dryRun: boolType,
  options: dynType,
});

const namespaceMetadataType = structure("kubernetes.NamespaceMetadata", {
  name: stringType,
  generateName: stringType,
  namespace: stringType,
  labels: mapOf(stringType, stringType),
  annotations: mapOf(stringType, stringType),
  UID: stringType,
  creationTimestamp: timestampType,
  deletionGracePeriodSeconds: intType,
  deletionTimestamp: timestampType,
  generation: intType,
  resourceVersion: stringType,
  finalizers: strings,
});

const namespaceConditionType = structure("kubernetes.NamespaceCondition", {
  status: stringType,
  type: stringType,
  lastTransitionTime: timestampType,
  message: stringType,
  reason: stringType,
});

export const namespaceType = structure("kubernetes.Namespace", {
  metadata: namespaceMetadataType,
  spec: structure("kubernetes.NamespaceSpec", { finalizers: strings }),
  status: structure("kubernetes.NamespaceStatus", { conditions: listOf(namespaceConditionType), phase: stringType }),
});
