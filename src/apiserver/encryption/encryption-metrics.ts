// What is counted about encryption at rest, under upstream's metric names: values that were transformed, and what KMS plugins were
// asked. Ids of keys are told by their hashes.
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import { goCodeName, RpcError } from "../../rpc/rpc-error.ts";
import { contentHash } from "../configuration/reload-metrics.ts";
import { apiServerIdentity } from "../peers/identity-lease.ts";

/** As the label "transformation_type" has it. */
export type Direction = "from_storage" | "to_storage";

/** Of the objects of one resource. */
export interface TransformFigures {
  readonly clock: Pick<Clock, "monotonic">;
  /** `prefix`: of the transformer that was used, "" for identity, undefined where none fits; `error`: where it failed. */
  done(direction: Direction, prefix: string | undefined, begunMs: number, error?: unknown): void;
}

export interface KmsFigures {
  called(method: "Status" | "Encrypt" | "Decrypt", durationMs: number, error?: unknown): void;
  /** A value was encrypted or decrypted with a seed of this key. */
  used(direction: Direction, keyId: string): void;
  /** The plugin has named its key. */
  told(keyId: string): void;
  refused(code: "empty" | "too_long"): void;
  seeds(count: number): void;
  seedMade(durationMs: number): void;
  seedAsked(): void;
}

export interface EncryptionMetrics {
  transformsOf(resource: string): TransformFigures;
  kms(provider: string): KmsFigures;
}

const doubling = (first: number, count: number): readonly number[] => Array.from({ length: count }, (_, i) => first * 2 ** i);

export function createEncryptionMetrics(registry: MetricsRegistry, clock: Pick<Clock, "monotonic" | "now">): EncryptionMetrics {
  const operations = registry.counter(
    "apiserver_storage_transformation_operations_total",
    "[ALPHA] Total number of transformations. Successful transformation will have a status 'OK' and a varied status string when the transformation fails. The status, resource, and transformation_type fields can be used for alerting purposes. For example, you can monitor for encryption/decryption failures using the transformation_type (e.g., from_storage for decryption and to_storage for encryption). Additionally, these fields can be used to ensure that the correct transformers are applied to each resource.",
    ["resource", "status", "transformation_type", "transformer_prefix"],
  );
  const durations = registry.histogram(
    "apiserver_storage_transformation_duration_seconds",
    "[ALPHA] Latencies in seconds of value transformation operations.",
    { labels: ["transformation_type", "transformer_prefix"], buckets: doubling(5e-6, 25) },
  );
  const kms = kmsFamilies(registry);
  return {
    transformsOf(resource) {
      const known = new Map<string, readonly Transformed[]>();
      return {
        clock,
        done(direction, prefix, begunMs, error) {
          const elapsed = (clock.monotonic() - begunMs) / 1000;
          if (error !== undefined) {
            for (const part of partsOf(direction, prefix)) operations.series(resource, statusOf(error), direction, part).add();
            return;
          }
          const key = direction + prefix;
          let series = known.get(key);
          if (!series) {
            series = partsOf(direction, prefix).map((part) => ({
              operations: operations.series(resource, "OK", direction, part),
              durations: durations.series(direction, part),
            }));
            known.set(key, series);
          }
          for (const each of series) {
            each.operations.add();
            each.durations.observe(elapsed);
          }
        },
      };
    },
    kms: (provider) => kmsFigures(kms, clock, provider),
  };
}

interface Transformed {
  readonly operations: Series;
  readonly durations: HistogramSeries;
}

/** A list of keys is a transformer within one: it counts under both prefixes. */
function partsOf(direction: Direction, prefix: string | undefined): readonly string[] {
  if (prefix === undefined) return ["unknown"];
  if (prefix === "") return [direction === "from_storage" ? "identity" : ""];
  const [, provider, key] = /^(k8s:enc:(?:aescbc|aesgcm|secretbox):v1:)(.+)$/.exec(prefix) ?? [];
  return provider === undefined || key === undefined ? [prefix] : [provider, key];
}

/** A gRPC code in Go's form ("DeadlineExceeded"), of the error or of what has caused it. */
function statusOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof RpcError) return goCodeName(cause.code);
  }
  return "unknown-non-grpc";
}

type KmsFamilies = ReturnType<typeof kmsFamilies>;

function kmsFamilies(registry: MetricsRegistry) {
  const prefix = "apiserver_envelope_encryption";
  const byUse = ["apiserver_id_hash", "key_id_hash", "provider_name", "transformation_type"];
  return {
    calls: registry.histogram(
      `${prefix}_kms_operations_latency_seconds`,
      "[ALPHA] KMS operation duration with gRPC error code status total.",
      { labels: ["grpc_status_code", "method_name", "provider_name"], buckets: doubling(0.0001, 20) },
    ),
    uses: registry.counter(
      `${prefix}_key_id_hash_total`,
      "[ALPHA] Number of times a keyID is used split by transformation type, provider, and apiserver identity.",
      byUse,
    ),
    lastUses: registry.gauge(
      `${prefix}_key_id_hash_last_timestamp_seconds`,
      "[ALPHA] The last time in seconds when a keyID was used.",
      byUse,
    ),
    lastTold: registry.gauge(
      `${prefix}_key_id_hash_status_last_timestamp_seconds`,
      "[ALPHA] The last time in seconds when a keyID was returned by the Status RPC call.",
      ["apiserver_id_hash", "key_id_hash", "provider_name"],
    ),
    refusals: registry.counter(
      `${prefix}_invalid_key_id_from_status_total`,
      "[ALPHA] Number of times an invalid keyID is returned by the Status RPC call split by error.",
      ["error", "provider_name"],
    ),
    seeds: registry.gauge(
      `${prefix}_dek_source_cache_size`,
      "[ALPHA] Number of records in data encryption key (DEK) source cache. On a restart, this value is an approximation of the number of decrypt RPC calls the server will make to the KMS plugin.",
      ["provider_name"],
    ),
    seedsMade: registry.histogram(
      "apiserver_storage_data_key_generation_duration_seconds",
      "[ALPHA] Latencies in seconds of data encryption key(DEK) generation operations.",
      { buckets: doubling(5e-6, 14) },
    ),
    misses: registry.counter(
      "apiserver_storage_envelope_transformation_cache_misses_total",
      "[ALPHA] Total number of cache misses while accessing key decryption key(KEK).",
    ),
  };
}

function kmsFigures(families: KmsFamilies, clock: Pick<Clock, "now">, provider: string): KmsFigures {
  const server = contentHash(apiServerIdentity(hostname()));
  // A plugin has one key at a time: its series are looked up when it changes.
  const series = (direction: Direction) => {
    let keyOf = "";
    let uses: Series | undefined;
    let last: { set(value: number): void } | undefined;
    return (keyId: string): void => {
      if (keyId !== keyOf || !uses) {
        const hash = hashOf(keyId);
        keyOf = keyId;
        uses = families.uses.series(server, hash, provider, direction);
        last = families.lastUses.series(server, hash, provider, direction);
      }
      uses.add();
      last?.set(clock.now() / 1000);
    };
  };
  const used = { from_storage: series("from_storage"), to_storage: series("to_storage") };
  return {
    called(method, durationMs, error) {
      families.calls
        .series(error === undefined ? "OK" : statusOf(error), `/v2.KeyManagementService/${method}`, provider)
        .observe(durationMs / 1000);
    },
    used: (direction, keyId) => used[direction](keyId),
    told: (keyId) => families.lastTold.series(server, hashOf(keyId), provider).set(clock.now() / 1000),
    refused: (code) => families.refusals.series(code, provider).add(),
    seeds: (count) => families.seeds.series(provider).set(count),
    seedMade: (durationMs) => families.seedsMade.series().observe(durationMs / 1000),
    seedAsked: () => families.misses.series().add(),
  };
}

/** As contentHash, "" for none. */
const hashOf = (keyId: string): string => (keyId === "" ? "" : `sha256:${createHash("sha256").update(keyId).digest("hex")}`);
