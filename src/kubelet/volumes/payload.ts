// The files of configMap, secret, downwardAPI and projected volumes.
import { isStatus } from "../../api/meta/status-error.ts";
import type {
  ClusterTrustBundleProjection,
  ConfigMap,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  PodCertificateProjection,
  ProjectedVolumeSource,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
} from "../../api/types/core-v1.ts";
import { type DownwardContext, fieldValue, resourceValue } from "../containers/downward.ts";
import type { ReferencedObjects } from "../containers/environment.ts";
import type { Payload, PayloadFile } from "./atomic-writer.ts";
import { fsUserOf } from "./ownership.ts";
import type { CredentialBundle, ProjectionPlace } from "./pod-certificates.ts";

export interface PayloadContext extends DownwardContext {
  readonly objects: ReferencedObjects;
  /** A token of the pod's service account that stays valid for a while. */
  readonly token: (pod: Pod, projection: ServiceAccountTokenProjection) => Promise<string>;
  /** The pod's own certificate and its key; absent where their feature is off. Throws while there is none. */
  readonly certificate?: (pod: Pod, place: ProjectionPlace, projection: PodCertificateProjection) => CredentialBundle;
  /** Certificates of authorities in PEM; absent where their feature is off. */
  readonly trustAnchors?: (projection: ClusterTrustBundleProjection) => Promise<string>;
}

const defaultMode = 0o644;

/** Undefined for a volume of another kind. */
export async function volumePayload(pod: Pod, volume: Volume, context: PayloadContext): Promise<Payload | undefined> {
  const files = new Map<string, PayloadFile>();
  if (volume.configMap) await addConfigMap(files, pod, volume.configMap, volume.configMap.defaultMode, context);
  else if (volume.secret) {
    const { secretName = "", items, optional, defaultMode: mode } = volume.secret;
    await addSecret(
      files,
      pod,
      { name: secretName, ...(items ? { items } : {}), ...(optional === undefined ? {} : { optional }) },
      mode,
      context,
    );
  } else if (volume.downwardAPI) addDownward(files, pod, volume.downwardAPI.items, volume.downwardAPI.defaultMode, context);
  else if (volume.projected) await addProjected(files, pod, { ...volume.projected, name: volume.name }, context);
  else return undefined;
  return files;
}

interface ObjectProjection {
  readonly name?: string;
  readonly items?: readonly KeyToPath[];
  readonly optional?: boolean;
}

async function addConfigMap(
  files: Map<string, PayloadFile>,
  pod: Pod,
  source: ObjectProjection,
  mode: number | undefined,
  { objects }: PayloadContext,
): Promise<void> {
  const { name = "" } = source;
  const map = await orMissing(source.optional, `configmap "${name}" not found`, () => objects.configMap(pod.metadata.namespace, name));
  addKeys(files, configMapEntries(map), source, mode, "configmap references non-existent config key");
}

async function addSecret(
  files: Map<string, PayloadFile>,
  pod: Pod,
  source: ObjectProjection,
  mode: number | undefined,
  { objects }: PayloadContext,
): Promise<void> {
  const { name = "" } = source;
  const secret = await orMissing(source.optional, `secret "${name}" not found`, () => objects.secret(pod.metadata.namespace, name));
  const entries = new Map(Object.entries(secret?.data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64")]));
  addKeys(files, entries, source, mode, "references non-existent secret key");
}

function configMapEntries(map: ConfigMap | undefined): ReadonlyMap<string, Uint8Array> {
  return new Map([
    ...Object.entries(map?.data ?? {}).map(([key, text]) => [key, Buffer.from(text)] as const),
    ...Object.entries(map?.binaryData ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64")] as const),
  ]);
}

function addKeys(
  files: Map<string, PayloadFile>,
  entries: ReadonlyMap<string, Uint8Array>,
  { items, optional }: ObjectProjection,
  mode: number | undefined,
  missing: string,
): void {
  if (!items?.length) {
    for (const [key, data] of entries) files.set(key, { data, mode: mode ?? defaultMode });
    return;
  }
  for (const item of items) {
    const data = entries.get(item.key);
    if (data) files.set(item.path, { data, mode: item.mode ?? mode ?? defaultMode });
    else if (!optional) throw new Error(`${missing}: ${item.key}`);
  }
}

function addDownward(
  files: Map<string, PayloadFile>,
  pod: Pod,
  items: readonly DownwardAPIVolumeFile[] | undefined,
  mode: number | undefined,
  context: PayloadContext,
): void {
  for (const item of items ?? []) {
    const [first] = pod.spec.containers;
    const text = item.fieldRef
      ? fieldValue(pod, item.fieldRef, context)
      : item.resourceFieldRef && first
        ? resourceValue(pod, first, item.resourceFieldRef, context)
        : "";
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? mode ?? defaultMode });
  }
}

type NamedProjection = ProjectedVolumeSource & { readonly name: string };

/** All sources are tried: what is wrong with several of them is told at once. */
async function addProjected(files: Map<string, PayloadFile>, pod: Pod, volume: NamedProjection, context: PayloadContext): Promise<void> {
  const problems: Error[] = [];
  for (const index of (volume.sources ?? []).keys())
    await addSource(files, pod, { volume, index }, context).catch((error: unknown) => void problems.push(error as Error));
  const [first] = problems;
  if (problems.length === 1) throw first;
  if (problems.length > 1) throw new AggregateError(problems, `[${[...new Set(problems.map(({ message }) => message))].join(", ")}]`);
}

async function addSource(
  files: Map<string, PayloadFile>,
  pod: Pod,
  { volume, index }: { readonly volume: NamedProjection; readonly index: number },
  context: PayloadContext,
): Promise<void> {
  const mode = volume.defaultMode;
  const source = volume.sources?.[index] ?? {};
  if (source.configMap) await addConfigMap(files, pod, source.configMap, mode, context);
  else if (source.secret) await addSecret(files, pod, source.secret, mode, context);
  else if (source.downwardAPI) addDownward(files, pod, source.downwardAPI.items, mode, context);
  else if (source.serviceAccountToken) {
    const data = Buffer.from(await context.token(pod, source.serviceAccountToken));
    files.set(source.serviceAccountToken.path, guarded(pod, data, mode));
  } else if (source.clusterTrustBundle && context.trustAnchors) {
    const data = Buffer.from(await context.trustAnchors(source.clusterTrustBundle));
    files.set(source.clusterTrustBundle.path, guarded(pod, data, mode));
  } else if (source.podCertificate && context.certificate) {
    const { credentialBundlePath, keyPath, certificateChainPath } = source.podCertificate;
    const { key, chain } = context.certificate(pod, { volume: volume.name, index }, source.podCertificate);
    for (const [path, text] of [
      [credentialBundlePath, key + chain],
      [keyPath, key],
      [certificateChainPath, chain],
    ] as const)
      if (path) files.set(path, guarded(pod, Buffer.from(text), mode));
  } else throw new Error(`projected volume source ${Object.keys(source).join(", ")} is not supported`);
}

/** For the pod's user alone, where it has one or a group of its own. */
function guarded(pod: Pod, data: Buffer, mode: number | undefined): PayloadFile {
  const uid = fsUserOf(pod);
  const isGuarded = uid !== undefined || pod.spec.securityContext?.fsGroup !== undefined;
  return { data, mode: isGuarded ? 0o600 : (mode ?? defaultMode), ...(uid === undefined ? {} : { uid }) };
}

async function orMissing<T extends ConfigMap | Secret>(
  optional: boolean | undefined,
  message: string,
  get: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
    if (optional) return undefined;
    throw new Error(message);
  }
}
