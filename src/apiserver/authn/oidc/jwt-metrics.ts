// What is counted about the tokens of OpenID issuers and the fetching of their keys, under upstream's metric names. Issuers, key
// sets and servers are told by their hashes.
import { hostname } from "node:os";
import type { Clock } from "../../../base/clock.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import { contentHash } from "../../configuration/reload-metrics.ts";
import { apiServerIdentity } from "../../peers/identity-lease.ts";

export type Outcome = "success" | "failure";

/** What is counted of one issuer. */
export interface IssuerFigures {
  /** A token of the issuer has been judged. */
  judged(outcome: Outcome, seconds: number): void;
  /** The issuer's keys came, as this text. */
  keysFetched(text: string): void;
  keysNotFetched(): void;
}

export interface JwtMetrics {
  /** Of an issuer by its URL. */
  of(issuer: string): IssuerFigures;
  /** The issuer is configured no longer: its keys are told of no more. */
  forget(issuer: string): void;
}

const latencyBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createJwtMetrics(metrics: MetricsRegistry, clock: Pick<Clock, "now">): JwtMetrics {
  const prefix = "apiserver_authentication_jwt_authenticator";
  const latency = metrics.histogram(
    `${prefix}_latency_seconds`,
    "[ALPHA] Latency of jwt authentication operations in seconds. This is the time spent authenticating a token for cache miss only (i.e. when the token is not found in the cache).",
    { labels: ["jwt_issuer_hash", "result"], buckets: latencyBuckets },
  );
  const fetched = metrics.gauge(
    `${prefix}_jwks_fetch_last_timestamp_seconds`,
    "[ALPHA] Timestamp of the last successful or failed JWKS fetch split by result, api server identity and jwt issuer for the JWT authenticator.",
    ["apiserver_id_hash", "jwt_issuer_hash", "result"],
  );
  const keySet = metrics.gauge(
    `${prefix}_jwks_fetch_last_key_set_info`,
    "[ALPHA] Information about the last JWKS fetched by the JWT authenticator with hash as label, split by api server identity and jwt issuer.",
    ["apiserver_id_hash", "hash", "jwt_issuer_hash"],
  );
  const server = contentHash(apiServerIdentity(hostname()));
  /** Hashes of the key sets that were fetched last, by the issuer's. */
  const keySets = new Map<string, string>();
  /** Configured no longer: an answer that is on its way is not counted. */
  const forgotten = new Set<string>();
  const dropKeySet = (issuer: string): void => {
    const hash = keySets.get(issuer);
    if (hash !== undefined) keySet.remove(server, hash, issuer);
    keySets.delete(issuer);
  };
  return {
    of(url) {
      const issuer = contentHash(url);
      forgotten.delete(issuer);
      const tried = (outcome: Outcome): void => {
        if (!forgotten.has(issuer)) fetched.series(server, issuer, outcome).set(clock.now() / 1000);
      };
      return {
        judged: (outcome, seconds) => latency.series(issuer, outcome).observe(seconds),
        keysFetched(text) {
          if (forgotten.has(issuer)) return;
          dropKeySet(issuer);
          const hash = contentHash(text);
          keySets.set(issuer, hash);
          keySet.series(server, hash, issuer).set(1);
          tried("success");
        },
        keysNotFetched: () => tried("failure"),
      };
    },
    forget(url) {
      const issuer = contentHash(url);
      forgotten.add(issuer);
      dropKeySet(issuer);
      for (const outcome of ["success", "failure"]) fetched.remove(server, issuer, outcome);
    },
  };
}
