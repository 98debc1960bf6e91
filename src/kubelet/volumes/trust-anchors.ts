// Trust anchors for projected volumes (the gate ClusterTrustBundleProjection): of one bundle by its name, or of all bundles of a
// signer that labels choose, each certificate once. Read from the API server and remembered for a minute; while it is away,
// what was last read still counts.

import { selects } from "../../api/meta/selectors.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ClusterTrustBundle } from "../../api/types/certificates-v1beta1.ts";
import type { ClusterTrustBundleProjection } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { pemBlocks } from "../../base/x509/pem.ts";
import type { Client } from "../../client/client.ts";

interface Remembered {
  readonly pem: string;
  readonly atMs: number;
}

const rememberedMs = 60_000;
const maxRemembered = 256;
const certificatesIn = (text: string): readonly string[] =>
  pemBlocks(text).flatMap(({ type, text: block }) => (type === "CERTIFICATE" ? block.trimEnd() : []));

export class TrustAnchors {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #remembered = new LruMap<string, Remembered>(maxRemembered);

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** PEM; "" where there is none and none need be. Throws with the text of the pod's event. */
  async of(projection: ClusterTrustBundleProjection): Promise<string> {
    const { name, signerName, labelSelector, optional = false } = projection;
    const key = JSON.stringify([name, signerName, labelSelector, optional]);
    const known = this.#remembered.get(key);
    const now = this.#clock.monotonic();
    if (known && now - known.atMs < rememberedMs) return known.pem;
    let bundles: readonly ClusterTrustBundle[];
    try {
      bundles = name === undefined ? await this.#ofSigner(projection) : await this.#named(name, optional);
    } catch (error) {
      if (known && !isStatus(error, "NotFound")) return known.pem;
      throw error;
    }
    if (bundles.length === 0 && !optional) throw new Error("combination of signerName and labelSelector matched zero ClusterTrustBundles");
    const anchors = new Set(bundles.flatMap(({ spec }) => certificatesIn(spec.trustBundle)));
    const pem = [...anchors]
      .sort()
      .map((anchor) => `${anchor}\n`)
      .join("");
    this.#remembered.set(key, { pem, atMs: now });
    return pem;
  }

  async #named(name: string, optional: boolean): Promise<readonly ClusterTrustBundle[]> {
    const { clustertrustbundlesV1beta1 } = await import("../../api/optional-resources.generated.ts");
    try {
      return [await this.#client.get(clustertrustbundlesV1beta1, { name })];
    } catch (error) {
      if (optional && isStatus(error, "NotFound")) return [];
      throw error;
    }
  }

  /** Without a selector no bundle is meant, with an empty one all are. */
  async #ofSigner({ signerName = "", labelSelector }: ClusterTrustBundleProjection): Promise<readonly ClusterTrustBundle[]> {
    if (!labelSelector) return [];
    const { clustertrustbundlesV1beta1 } = await import("../../api/optional-resources.generated.ts");
    const { items } = await this.#client.list(clustertrustbundlesV1beta1, { fieldSelector: `spec.signerName=${signerName}` });
    return items.filter(({ metadata, spec }) => spec.signerName === signerName && selects(labelSelector, metadata.labels));
  }
}
