// Warnings about volumes in which one file would be written over, or under, another.
import type { Volume, VolumeProjection } from "../types/core-v1.ts";

interface SourcedPath {
  readonly path: string;
  /** 'ConfigMap "name"'; "" where the volume has one source. */
  readonly source: string;
}

/** What every pod gets for its service account is the same object each time. */
const withoutOverlaps = new WeakSet<object>();

export function overlapWarnings(volumes: readonly Volume[]): string[] {
  const warnings: string[] = [];
  for (const volume of volumes) {
    // Nothing but a projection, as every valid one is.
    const alone = volume.configMap || volume.secret || volume.downwardAPI ? undefined : volume.projected;
    if (alone && withoutOverlaps.has(alone)) continue;
    const found = warningsOf(volume);
    if (alone && found.length === 0) withoutOverlaps.add(alone);
    warnings.push(...found);
  }
  return warnings;
}

function warningsOf({ name, configMap, secret, downwardAPI, projected }: Volume): string[] {
  const warn = (kind: string, paths: readonly SourcedPath[]): string[] =>
    overlaps(paths).map((text) => `volume ${JSON.stringify(name)} (${kind}): overlapping paths: ${text}`);
  return [
    ...(configMap?.items ? warn(`ConfigMap ${JSON.stringify(configMap.name ?? "")}`, sourced(configMap.items)) : []),
    ...(secret?.items ? warn(`Secret ${JSON.stringify(secret.secretName ?? "")}`, sourced(secret.items)) : []),
    ...(downwardAPI?.items ? warn("DownwardAPI", sourced(downwardAPI.items)) : []),
    ...(projected?.sources ?? [])
      .filter((source) => Object.keys(source).length === 0)
      .map(() => `volume ${JSON.stringify(name)} (Projected) has no sources provided`),
    ...warn("Projected", (projected?.sources ?? []).flatMap(projectedPaths)),
  ];
}

const sourced = (items: readonly { readonly path: string }[], source = ""): readonly SourcedPath[] =>
  items.map(({ path = "" }) => ({ path, source }));

function projectedPaths({ configMap, secret, downwardAPI, serviceAccountToken }: VolumeProjection): readonly SourcedPath[] {
  if (configMap?.items) return sourced(configMap.items, `ConfigMap ${JSON.stringify(configMap.name ?? "")}`);
  if (secret?.items) return sourced(secret.items, `Secret ${JSON.stringify(secret.name ?? "")}`);
  if (downwardAPI?.items) return sourced(downwardAPI.items, "DownwardAPI");
  return serviceAccountToken ? sourced([serviceAccountToken], "ServiceAccountToken") : [];
}

function overlaps(paths: readonly SourcedPath[]): string[] {
  const before: SourcedPath[] = [];
  const found: string[] = [];
  for (const { path, source } of paths) {
    const next = { path: path.replace(/\/+$/, ""), source };
    for (const other of before) if (isOverlap(next.path, other.path)) found.push(`${shown(next)} with ${shown(other)}`);
    before.push(next);
  }
  return found;
}

const isOverlap = (a: string, b: string): boolean => a !== "" && b !== "" && (`${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`));

const shown = ({ path, source }: SourcedPath): string => (source === "" ? JSON.stringify(path) : `${JSON.stringify(path)} (${source})`);
