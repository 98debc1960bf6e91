// Where API groups stand in discovery: kube-apiserver's priorities of the built-in ones, and what custom resources get.
// Groups with a higher number come first, and so do the versions within a group.

export interface GroupVersion {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
}

export interface Priority {
  /** groupPriorityMinimum of an APIService. */
  readonly group: number;
  /** versionPriority of an APIService. */
  readonly version: number;
}

/** By group, then by version. */
const builtIn: Readonly<Record<string, { readonly group: number; readonly versions: Readonly<Record<string, number>> }>> = {
  "": { group: 18000, versions: { v1: 1 } },
  apps: { group: 17800, versions: { v1: 15 } },
  "events.k8s.io": { group: 17750, versions: { v1: 15 } },
  "authentication.k8s.io": { group: 17700, versions: { v1: 15 } },
  "authorization.k8s.io": { group: 17600, versions: { v1: 15 } },
  autoscaling: { group: 17500, versions: { v2: 30, v1: 15 } },
  batch: { group: 17400, versions: { v1: 15 } },
  "certificates.k8s.io": { group: 17300, versions: { v1: 15, v1beta1: 9, v1alpha1: 1 } },
  "networking.k8s.io": { group: 17200, versions: { v1: 15, v1beta1: 9 } },
  policy: { group: 17100, versions: { v1: 15 } },
  "rbac.authorization.k8s.io": { group: 17000, versions: { v1: 15 } },
  "storage.k8s.io": { group: 16800, versions: { v1: 15, v1beta1: 9, v1alpha1: 1 } },
  "admissionregistration.k8s.io": { group: 16700, versions: { v1: 15, v1beta1: 12, v1alpha1: 9 } },
  "apiextensions.k8s.io": { group: 16700, versions: { v1: 15 } },
  "scheduling.k8s.io": { group: 16600, versions: { v1: 15, v1alpha2: 2 } },
  "coordination.k8s.io": { group: 16500, versions: { v1: 15, v1beta1: 13, v1alpha2: 12 } },
  "node.k8s.io": { group: 16300, versions: { v1: 15 } },
  "discovery.k8s.io": { group: 16200, versions: { v1: 15 } },
  "resource.k8s.io": { group: 16200, versions: { v1: 21, v1beta2: 15, v1beta1: 9, v1alpha3: 1 } },
  "flowcontrol.apiserver.k8s.io": { group: 16100, versions: { v1: 21 } },
  "internal.apiserver.k8s.io": { group: 16000, versions: { v1alpha1: 9 } },
  "storagemigration.k8s.io": { group: 15800, versions: { v1beta1: 9 } },
};

/** APIServices themselves come first, and have no APIService. */
export const registrationGroup = "apiregistration.k8s.io";
const registrationPriority: Priority = { group: 20_001, version: 0 };

/** Of the group versions that custom resource definitions bring. */
export const customPriority: Priority = { group: 1000, version: 100 };

/** Of a built-in group version that gets an APIService at the start; undefined for all others. */
export function builtInPriority({ group, version }: GroupVersion): Priority | undefined {
  const known = Object.hasOwn(builtIn, group) ? builtIn[group] : undefined;
  const found = known?.versions[version];
  return known && found !== undefined ? { group: known.group, version: found } : undefined;
}

/** Of a group version of which no APIService says it. */
export function defaultPriority(of: GroupVersion): Priority {
  if (of.group === registrationGroup) return registrationPriority;
  return builtInPriority(of) ?? customPriority;
}

/** "v1.apps", and "v1." for the core group. */
export const apiServiceName = ({ group, version }: GroupVersion): string => `${version}.${group}`;
