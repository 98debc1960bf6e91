// A manifest of static pods, from a file or a URL: decoded, completed as upstream does (name with the node's, uid from the
// source and the contents, annotations), given the API's defaults, and validated. What refers to objects of the API is
// refused: a static pod runs without one.
import { createHash } from "node:crypto";
import { parseAllDocuments } from "yaml";
import type { FieldError } from "../../api/meta/field-error.ts";
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import { configAnnotation } from "../runtime/labels.ts";
import { allContainers } from "./pod-spec.ts";

export interface ManifestRules {
  readonly nodeName: string;
  /** Fills in the API's defaults. */
  readonly applyDefaults: (pod: Pod) => Pod;
  /** The problems of a pod; default none are looked for. */
  readonly validate?: (pod: Pod) => readonly FieldError[];
}

export interface Manifest {
  readonly kind: "file" | "http";
  /** The path or the URL. */
  readonly source: string;
  readonly text: string;
  /** When the pod of this uid was first seen. */
  readonly seenAt: (uid: string) => string;
}

/** Throws an Error that says what is wrong. */
export function readManifest(manifest: Manifest, rules: ManifestRules): readonly Pod[] {
  return parseAllDocuments(manifest.text)
    .map((document) => {
      const [problem] = document.errors;
      if (problem) throw new Error(problem.message);
      return document.toJS() as unknown;
    })
    .filter((value) => value !== null && value !== undefined)
    .flatMap(podsIn)
    .map((pod) => complete(pod, manifest, rules));
}

function podsIn(value: unknown): readonly Pod[] {
  const { apiVersion, kind, items } = value as { readonly apiVersion?: string; readonly kind?: string; readonly items?: readonly Pod[] };
  if (apiVersion === "v1" && kind === "Pod") return [value as Pod];
  // The items of a list need not say what they are.
  if (apiVersion === "v1" && kind === "PodList") return (items ?? []).map((pod) => ({ ...pod, apiVersion: "v1", kind: "Pod" }));
  throw new Error(`expected a v1 Pod, found ${apiVersion} ${kind}`);
}

function complete(pod: Pod, { kind, source, text, seenAt }: Manifest, rules: ManifestRules): Pod {
  const { nodeName, applyDefaults, validate } = rules;
  if (!pod.metadata?.name) throw new Error("invalid pod: name is needed for the pod");
  const origin = kind === "file" ? `host:${nodeName}file:${source}` : `url:${source}`;
  const uid = createHash("md5")
    .update(`${origin}${pod.metadata.namespace ?? ""}/${pod.metadata.name}${text}`)
    .digest("hex");
  const { annotations } = pod.metadata;
  const metadata = {
    ...pod.metadata,
    name: `${pod.metadata.name}-${nodeName}`.toLowerCase(),
    namespace: pod.metadata.namespace || "default",
    uid,
    annotations: {
      ...annotations,
      [configAnnotation.hash]: uid,
      [configAnnotation.source]: kind,
      [configAnnotation.seen]: seenAt(uid),
    },
  };
  // So that they are not evicted when there are problems of the node.
  const tolerations = [
    ...(pod.spec?.tolerations ?? []),
    ...(kind === "file" ? [{ operator: "Exists", effect: "NoExecute" } as const] : []),
  ];
  const completed = applyDefaults({ ...pod, metadata, spec: { ...pod.spec, nodeName, tolerations }, status: { phase: "Pending" } });
  const problems = validate?.(completed) ?? [];
  if (problems.length > 0) throw new Error(`invalid pod: ${problems.map((p) => p.message).join(", ")}`);
  const referred = apiReference(completed);
  if (referred !== undefined) throw new Error(`static pods may not reference ${referred}`);
  return completed;
}

/** What of the API a pod refers to, in upstream's words. */
function apiReference(pod: Pod): string | undefined {
  if (pod.spec.serviceAccountName) return "serviceaccounts";
  const containers = allContainers(pod.spec);
  const env = containers.flatMap((c) => c.env ?? []);
  const envFrom = containers.flatMap((c) => c.envFrom ?? []);
  if (pod.spec.imagePullSecrets?.length || env.some((e) => e.valueFrom?.secretKeyRef) || envFrom.some((e) => e.secretRef)) return "secrets";
  if (env.some((e) => e.valueFrom?.configMapKeyRef) || envFrom.some((e) => e.configMapRef)) return "configmaps";
  if (pod.spec.resourceClaims?.length) return "resourceclaims";
  for (const volume of pod.spec.volumes ?? []) {
    const found = volumeReference(volume);
    if (found !== undefined) return found;
  }
  return undefined;
}

const referringVolumes: readonly (readonly [keyof Volume, string])[] = [
  ["configMap", "configmaps (via configmap volumes)"],
  ["secret", "secrets (via secret volumes)"],
  ["csi", "csidrivers (via CSI volumes)"],
  ["glusterfs", "endpoints (via glusterFS volumes)"],
  ["persistentVolumeClaim", "persistentvolumeclaims"],
  ["ephemeral", "persistentvolumeclaims (via ephemeral volumes)"],
  ["azureFile", "secrets (via azureFile volumes)"],
];

function volumeReference(volume: Volume): string | undefined {
  for (const [field, what] of referringVolumes) if (volume[field] !== undefined) return what;
  for (const source of volume.projected?.sources ?? []) {
    if (source.configMap) return "configmaps (via projected volumes)";
    if (source.secret) return "secrets (via projected volumes)";
    if (source.serviceAccountToken) return "serviceaccounts (via projected volumes)";
    if (source.clusterTrustBundle) return "clustertrustbundles";
    if (source.podCertificate) return "podcertificates";
  }
  return undefined;
}
