// Tokens of service accounts, bound to a pod, asked for through the TokenRequest API and kept until 80 % of their life (at
// most 24 hours) is over; then the next one who asks gets a new one, or still the old one while the API server is away.
import { serviceaccounts } from "../../api/resources.generated.ts";
import type { TokenRequest } from "../../api/types/authentication-v1.ts";
import type { Pod, ServiceAccountTokenProjection } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";

interface HeldToken {
  readonly token: string;
  readonly podUid: string;
  readonly refreshAtMs: number;
  readonly expiresAtMs: number;
}

const maxAgeMs = 24 * 3600_000;

export class ServiceAccountTokens {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #held = new Map<string, HeldToken>();

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  async token(pod: Pod, { audience = "", expirationSeconds = 3600 }: ServiceAccountTokenProjection): Promise<string> {
    const key = JSON.stringify([pod.metadata.uid, pod.spec.serviceAccountName, audience, expirationSeconds]);
    const held = this.#held.get(key);
    const now = this.#clock.now();
    if (held && now < held.refreshAtMs) return held.token;
    try {
      const fresh = await this.#request(pod, audience, expirationSeconds);
      this.#held.set(key, fresh);
      return fresh.token;
    } catch (error) {
      if (held && now < held.expiresAtMs) return held.token;
      const who = `${pod.metadata.namespace}/${pod.spec.serviceAccountName ?? "default"}`;
      throw new Error(`failed to fetch token: ${(error as Error).message} (service account ${who})`, { cause: error });
    }
  }

  /** Of a pod that is gone. */
  forget(podUid: string): void {
    for (const [key, held] of this.#held) if (held.podUid === podUid) this.#held.delete(key);
  }

  async #request(pod: Pod, audience: string, expirationSeconds: number): Promise<HeldToken> {
    const { name, namespace, uid } = pod.metadata;
    const askedAtMs = this.#clock.now();
    const answer = await this.#client.createSubresource<TokenRequest>(
      serviceaccounts,
      { namespace, name: pod.spec.serviceAccountName || "default", subresource: "token" },
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {
          audiences: audience === "" ? [] : [audience],
          expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      },
    );
    const token = answer.status?.token;
    if (!token) throw new Error("the API server answered without a token");
    const expires = answer.status?.expirationTimestamp;
    const expiresAtMs = expires ? Date.parse(expires) : askedAtMs + expirationSeconds * 1000;
    const jitter = this.#clock.random() * 10_000;
    const refreshAtMs = askedAtMs + Math.min((expiresAtMs - askedAtMs) * 0.8, maxAgeMs) - jitter;
    return { token, podUid: uid, refreshAtMs, expiresAtMs };
  }
}
