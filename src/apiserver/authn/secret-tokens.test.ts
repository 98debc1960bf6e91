import { generateKeyPairSync } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { secrets, serviceaccounts } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { generateKey, privateKeyPem, publicKeyPem } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { authenticationStage } from "./authentication-stage.ts";
import { createBearerTokenAuthenticator } from "./bearer-token.ts";
import { createBoundObjects } from "./bound-objects.ts";
import { createJwtSigner } from "./jwt.ts";
import { answerOk, fakeContext } from "./request-fixture.ts";
import { createLegacyTokens, createSecretTokenUse, tokenSecretType } from "./secret-tokens.ts";
import { readPublicKeys, readSigningKey, ServiceAccountKeys } from "./service-account-keys.ts";
import { createServiceAccountMetrics } from "./service-account-metrics.ts";
import { createServiceAccountTokens } from "./service-account-tokens.ts";

const key = generateKey().privateKey;
const keys = new ServiceAccountKeys([key]);
const audiences = ["https://kubernetes.default.svc.cluster.local"];
const claims = (changes: object = {}): object => ({
  iss: "kubernetes/serviceaccount",
  "kubernetes.io/serviceaccount/namespace": "ns",
  "kubernetes.io/serviceaccount/secret.name": "s",
  "kubernetes.io/serviceaccount/service-account.name": "default",
  "kubernetes.io/serviceaccount/service-account.uid": "sa-1",
  sub: "system:serviceaccount:ns:default",
  ...changes,
});
const legacy = createJwtSigner(key)(claims());
let clock: VirtualClock;
let reader: MemoryReader;
let patches: unknown[];

beforeEach(() => {
  clock = new VirtualClock(Date.UTC(2026, 4, 5, 23));
  reader = new MemoryReader();
  patches = [];
  reader.put(serviceaccounts, { metadata: { namespace: "ns", name: "default", uid: "sa-1" } });
  putSecret(legacy);
});

function putSecret(token: string, labels: Record<string, string> = {}): void {
  const data = { token: Buffer.from(token).toString("base64") };
  reader.put(secrets, { metadata: { namespace: "ns", name: "s", uid: "secret-1", labels }, type: tokenSecretType, data });
}

const client: Pick<Client, "patch"> = {
  patch: async (type, at, patch) => {
    patches.push(patch);
    const found = reader.informer(type).get(`${at.namespace}/${at.name}`);
    if (!found) throw new Error("not there");
    return found;
  },
};

const registry = new MetricsRegistry();
const metrics = createServiceAccountMetrics(registry);

function authenticator(options: { lookup?: boolean } = {}) {
  const use = createSecretTokenUse({ client, clock, logger: silentLogger, metrics });
  return createLegacyTokens({ keys, audiences, objects: createBoundObjects(reader), use, metrics, ...options });
}

describe("legacy tokens of secrets", () => {
  it("are their account, for the API server only, and say when they were used", async () => {
    const found = await authenticator().authenticateToken(legacy);
    expect(found).toEqual({
      user: { name: "system:serviceaccount:ns:default", uid: "sa-1", groups: ["system:serviceaccounts", "system:serviceaccounts:ns"] },
      audiences,
      auditAnnotations: {
        "authentication.k8s.io/legacy-token": "system:serviceaccount:ns:default",
        "authentication.k8s.io/legacy-token-manual-secret": "s",
      },
    });
    expect(patches).toEqual([{ metadata: { uid: "secret-1", labels: { "kubernetes.io/legacy-token-last-used": "2026-05-05" } } }]);
    await expect(authenticator().authenticateToken(legacy, ["vault"])).rejects.toThrow(/is invalid for the target audiences \["vault"\]/);
  });

  it("are counted", async () => {
    const before = registry.text();
    await authenticator().authenticateToken(legacy);
    const count = (text: string, name: string): number => Number(new RegExp(`^serviceaccount_${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
    for (const name of ["legacy_tokens_total", "legacy_manual_token_uses_total"])
      expect(count(registry.text(), name)).toBe(count(before, name) + 1);
    expect(count(registry.text(), "legacy_auto_token_uses_total")).toBe(count(before, "legacy_auto_token_uses_total"));
  });

  it.each(["2026-05-05", "2026-05-06"])("are not labelled again on %s, today or tomorrow by another server's clock", async (day) => {
    putSecret(legacy, { "kubernetes.io/legacy-token-last-used": day });
    await authenticator().authenticateToken(legacy);
    expect(patches).toEqual([]);
  });

  it("that were made automatically come with a warning", async () => {
    reader.put(serviceaccounts, { metadata: { namespace: "ns", name: "default", uid: "sa-1" }, secrets: [{ name: "s" }] });
    const context = fakeContext({ headers: { authorization: `Bearer ${legacy}` } });
    await authenticationStage({ authenticators: [createBearerTokenAuthenticator(authenticator())], logger: silentLogger })(
      context,
      answerOk,
    );
    expect(context.warnings).toEqual([
      "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.",
    ]);
    expect(context.auditAnnotations?.get("authentication.k8s.io/legacy-token-autogenerated-secret")).toBe("s");
  });

  it("that the secret marks as invalid are refused, and their use is noted", async () => {
    putSecret(legacy, { "kubernetes.io/legacy-token-invalid-since": "2026-01-01" });
    await expect(authenticator().authenticateToken(legacy)).rejects.toThrow(
      "the token in secret ns/s for service account ns/default has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token",
    );
    expect(patches).toHaveLength(1);
  });

  it("are refused when the secret is gone or holds another, unless nobody is to look", async () => {
    putSecret("another");
    await expect(authenticator().authenticateToken(legacy)).rejects.toThrow("Token does not match server's copy");
    reader.remove(secrets, "ns/s");
    await expect(authenticator().authenticateToken(legacy)).rejects.toThrow("Token has been invalidated");
    expect((await authenticator({ lookup: false }).authenticateToken(legacy))?.user.name).toBe("system:serviceaccount:ns:default");
  });

  it.each([
    [{ "kubernetes.io/serviceaccount/service-account.uid": "old" }, "ServiceAccount UID (sa-1) does not match claim (old)"],
    [{ sub: "system:serviceaccount:ns:other" }, "sub claim is invalid"],
    [{ "kubernetes.io/serviceaccount/secret.name": "" }, "secretName claim is missing"],
  ])("are refused: %j", async (changes, message) => {
    const token = createJwtSigner(key)(claims(changes));
    putSecret(token);
    await expect(authenticator().authenticateToken(token)).rejects.toThrow(message);
  });

  it("in the bound form are noted likewise", async () => {
    const secretUse = createSecretTokenUse({ client, clock, logger: silentLogger });
    const tokens = createServiceAccountTokens({ signingKey: key, reader, secretUse, clock });
    const serviceAccount = reader.informer(serviceaccounts).get("ns/default");
    if (!serviceAccount) throw new Error("no account");
    const token = await tokens.issue({ serviceAccount, audiences, expirationSeconds: 3600, secret: { name: "s", uid: "secret-1" } });
    expect((await tokens.authenticateToken(token))?.auditAnnotations).toBeUndefined();
    putSecret(token);
    expect((await tokens.authenticateToken(token))?.auditAnnotations).toEqual({ "authentication.k8s.io/legacy-token-manual-secret": "s" });
    expect(patches).toHaveLength(1);
  });
});

describe("key files", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });

  it("hold several keys, private ones too", () => {
    const text = `${publicKeyPem(rsa.publicKey)}\n# comment\n${privateKeyPem(key)}`;
    expect(readPublicKeys(text).map((k) => [k.type, k.asymmetricKeyType])).toEqual([
      ["public", "rsa"],
      ["public", "ec"],
    ]);
    expect(readSigningKey(`-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${privateKeyPem(key)}`).type).toBe(
      "private",
    );
  });

  it("without a key that serves are refused", () => {
    const ed = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect(() => readPublicKeys(ed)).toThrow("data does not contain any valid RSA or ECDSA public keys");
    expect(() => readSigningKey(publicKeyPem(rsa.publicKey))).toThrow("data does not contain a valid RSA or ECDSA private key");
  });

  it("tell whose tokens are ours: by the key id, or by trying all", () => {
    const other = new ServiceAccountKeys([rsa.publicKey]);
    const any = (): boolean => true;
    expect(() => other.claimsOf(legacy, any)).toThrow("invalid signature, no keys found");
    const forged = `${legacy.slice(0, legacy.lastIndexOf("."))}.${Buffer.alloc(64, 7).toString("base64url")}`;
    expect(() => keys.claimsOf(forged, any)).toThrow("go-jose/go-jose: error in cryptographic primitive");
    expect(keys.claimsOf(legacy, (issuer) => issuer === "else")).toBeUndefined();
  });
});
