// What is counted about calls of an external signer of service-account tokens, under upstream's metric names.
import type { Clock } from "../../../base/clock.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import { goCodeName, RpcError } from "../../../rpc/rpc-error.ts";

export type SignerMethod = "Sign" | "FetchKeys" | "Metadata";

export interface ExternalSignerMetrics {
  called(method: SignerMethod, durationMs: number, error?: unknown): void;
  /** A token was signed, or not. */
  signed(error?: unknown): void;
  /** Keys were fetched and found good, or not. `dataSeconds`: since 1970, of what was fetched. */
  fetched(outcome: { readonly dataSeconds: number } | { readonly error: unknown }): void;
}

const buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createExternalSignerMetrics(registry: MetricsRegistry, clock: Pick<Clock, "now">): ExternalSignerMetrics {
  const durations = registry.histogram(
    "apiserver_externaljwt_request_duration_seconds",
    "[ALPHA] Request duration and time for calls to external-jwt-signer",
    { labels: ["code", "method"], buckets },
  );
  const signs = registry.counter("apiserver_externaljwt_sign_request_total", "[ALPHA] Total attempts at signing JWT", ["code"]);
  const fetches = registry.counter("apiserver_externaljwt_fetch_keys_request_total", "[ALPHA] Total attempts at syncing supported JWKs", [
    "code",
  ]);
  const succeeded = registry.gauge(
    "apiserver_externaljwt_fetch_keys_success_timestamp",
    "[ALPHA] Unix Timestamp in seconds of the last successful FetchKeys request",
  );
  const data = registry.gauge(
    "apiserver_externaljwt_fetch_keys_data_timestamp",
    "[ALPHA] Unix Timestamp in seconds of the last successful FetchKeys data_timestamp value returned by the external signer",
  );
  return {
    called: (method, durationMs, error) => durations.series(codeOf(error), `/v1.ExternalJWTSigner/${method}`).observe(durationMs / 1000),
    signed: (error) => signs.series(codeOf(error)).add(),
    fetched(outcome) {
      const error = "error" in outcome ? outcome.error : undefined;
      fetches.series(codeOf(error)).add();
      if ("error" in outcome) return;
      succeeded.series().set(clock.now() / 1000);
      data.series().set(outcome.dataSeconds);
    },
  };
}

/** Of a call that failed, however it was told since; what failed otherwise has no code. */
function codeOf(error: unknown): string {
  if (error === undefined) return "OK";
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof RpcError) return goCodeName(cause.code);
  return "unknown-non-grpc";
}
