// Warnings about volumes in which one file would be written over, or under, another.
import { appendAll } from "../../base/append-all.ts";
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
    appendAll(warnings, found);
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

/** Pairs that are looked for: far more than anybody is told of. Any number of equal paths makes a square of pairs. */
const maxPairs = 1000;

/** Each with those before it, in their order. */
function overlaps(paths: readonly SourcedPath[]): string[] {
  const trimmed = paths.map(({ path, source }) => ({ path: withoutSlashesAtEnd(path), source }));
  return overlappingPairs(trimmed.map(({ path }) => path)).map(([later, earlier]) => {
    const [next, other] = [trimmed[later], trimmed[earlier]];
    return next && other ? `${shown(next)} with ${shown(other)}` : "";
  });
}

/** Indices of paths of which one is the other or a directory of it; the later one first. */
function overlappingPairs(paths: readonly string[]): readonly (readonly [number, number])[] {
  // With the slash before all other characters, what is in a directory comes right behind it.
  const sorted = paths.flatMap((path, index) => (path === "" ? [] : [{ key: `${path}/`.replaceAll("/", "\0"), index }]));
  sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index));
  const around: { readonly key: string; readonly index: number }[] = [];
  const pairs: [number, number][] = [];
  for (const next of sorted) {
    for (let last = around.at(-1); last && !next.key.startsWith(last.key); last = around.at(-1)) around.pop();
    for (const { index } of around) {
      if (pairs.length === maxPairs) break;
      pairs.push([Math.max(index, next.index), Math.min(index, next.index)]);
    }
    around.push(next);
  }
  return pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** Not by a pattern: those look at each slash again for each before it. */
function withoutSlashesAtEnd(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end--;
  return path.slice(0, end);
}

const shown = ({ path, source }: SourcedPath): string => (source === "" ? JSON.stringify(path) : `${JSON.stringify(path)} (${source})`);
