// The versions Coracle reports: its own, and the Kubernetes version whose API it speaks.

/** Coracle's own version, as in package.json. */
export const version = "0.1.0";

/** What /version and nodes report: the Kubernetes version, with Coracle's as build metadata. */
export const kubernetesVersion = `v1.36.2+coracle.${version}`;
