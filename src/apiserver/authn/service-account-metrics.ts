// What is counted about the use of service-account tokens, under upstream's metric names.
import type { MetricsRegistry } from "../../base/metrics.ts";

export interface ServiceAccountMetrics {
  /** A token without audiences. */
  legacyUsed(): void;
  /** A token that stands in a secret: made by hand, made automatically, or automatically and marked invalid since. */
  secretUsed(kind: "manual" | "auto" | "invalidated"): void;
  /** A token that lives longer than was asked for, by whether the time that was asked for is over. */
  extendedUsed(isStale: boolean): void;
}

export function createServiceAccountMetrics(registry: MetricsRegistry): ServiceAccountMetrics {
  const counter = (name: string, help: string) => registry.counter(`serviceaccount_${name}`, help, []).series();
  const legacy = counter("legacy_tokens_total", "[ALPHA] Cumulative legacy service account tokens used");
  const secrets = {
    manual: counter("legacy_manual_token_uses_total", "[ALPHA] Cumulative manually created legacy tokens used"),
    auto: counter("legacy_auto_token_uses_total", "[ALPHA] Cumulative auto-generated legacy tokens used"),
    invalidated: counter("invalid_legacy_auto_token_uses_total", "[ALPHA] Cumulative invalid auto-generated legacy tokens used"),
  };
  const stale = counter("stale_tokens_total", "[ALPHA] Cumulative stale projected service account tokens used");
  const valid = counter("valid_tokens_total", "[ALPHA] Cumulative valid projected service account tokens used");
  return {
    legacyUsed: () => legacy.add(),
    secretUsed: (kind) => secrets[kind].add(),
    extendedUsed: (isStale) => (isStale ? stale : valid).add(),
  };
}
