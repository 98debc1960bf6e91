// An external signer for tests: a gRPC server on a Unix socket with keys of its own, as others write them.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Running } from "../../../base/lifecycle.ts";
import type { RpcError } from "../../../rpc/rpc-error.ts";
import { serveRpc } from "../../../rpc/server.ts";
import { externalJwtV1 } from "./protocol.ts";

export class SignerFixture implements Running {
  /** The first signs. */
  readonly pairs: { id: string; publicKey: KeyObject; privateKey: KeyObject; retired?: boolean }[] = [];
  headerMore: Record<string, unknown> = {};
  refreshSeconds = 60;
  maxSeconds = 7200;
  fetches = 0;
  failure: RpcError | undefined;
  #server: Running | undefined;

  constructor() {
    this.newKey("first");
  }

  newKey(id: string): void {
    this.pairs.unshift({ id, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
  }

  async serve(endpoint: string): Promise<void> {
    const handlers = {
      sign: async ({ claims: payload }: { readonly claims: string }) => {
        if (this.failure) throw this.failure;
        const [{ id, privateKey }] = this.pairs as [(typeof this.pairs)[0]];
        const header = Buffer.from(JSON.stringify({ alg: "ES256", kid: id, typ: "JWT", ...this.headerMore })).toString("base64url");
        const signature = sign("sha256", Buffer.from(`${header}.${payload}`), { key: privateKey, dsaEncoding: "ieee-p1363" });
        return { header, signature: signature.toString("base64url") };
      },
      fetchKeys: async () => {
        this.fetches++;
        if (this.failure) throw this.failure;
        return {
          keys: this.pairs.map(({ id, publicKey, retired }) => ({
            keyId: id,
            key: publicKey.export({ type: "spki", format: "der" }),
            excludeFromOidcDiscovery: retired ?? false,
          })),
          dataTimestamp: { seconds: 1_700_000_000, nanos: 500_000_000 },
          refreshHintSeconds: this.refreshSeconds,
        };
      },
      metadata: async () => ({ maxTokenExpirationSeconds: this.maxSeconds }),
    };
    this.#server = await serveRpc({ endpoint, services: [{ protocol: externalJwtV1, service: "ExternalJWTSigner", handlers }] });
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}
