import { generateKeyPairSync } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { notFound } from "../../api/meta/status-error.ts";
import { nodes, pods, secrets, serviceaccounts } from "../../api/resources.generated.ts";
import type { TokenRequest, TokenReview } from "../../api/types/authentication-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { generateKey } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import type { CreateHandler, CreateRequest } from "../registry/handler-types.ts";
import { createJwtSigner, decodeJwt } from "./jwt.ts";
import { openIdHandlers } from "./openid.ts";
import { fakeContext } from "./request-fixture.ts";
import { authenticationReviews } from "./reviews.ts";
import { ServiceAccountKeys } from "./service-account-keys.ts";
import { createServiceAccountTokens, type ServiceAccountTokens } from "./service-account-tokens.ts";
import { tokenRequests } from "./token-request.ts";

const issuer = "https://kubernetes.default.svc.cluster.local";
const keys = generateKey();
let clock: VirtualClock;
let reader: MemoryReader;
let tokens: ServiceAccountTokens;

beforeEach(() => {
  clock = new VirtualClock();
  reader = new MemoryReader();
  reader.put(serviceaccounts, { metadata: { namespace: "ns", name: "default", uid: "sa-1" } });
  reader.put(nodes, { metadata: { name: "n1", uid: "node-1" }, spec: {} });
  reader.put(pods, {
    metadata: { namespace: "ns", name: "p", uid: "pod-1" },
    spec: { containers: [], serviceAccountName: "default", nodeName: "n1" },
  });
  tokens = createServiceAccountTokens({ signingKey: keys.privateKey, reader, clock });
});

const client: Pick<Client, "get"> = {
  get: async (type, at) => {
    const found = reader.informer(type).get(at.namespace ? `${at.namespace}/${at.name}` : at.name);
    if (!found) throw notFound(type, at.name);
    return found;
  },
};

async function request(spec: TokenRequest["spec"] = {}, name = "default"): Promise<TokenRequest> {
  const create = tokenRequests({ tokens, client, clock })["/serviceaccounts/token"] as CreateHandler;
  const object = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: {}, spec } as unknown as CreateRequest["object"];
  return (await create({
    type: serviceaccounts,
    subresource: "token",
    namespace: "ns",
    name,
    object,
    dryRun: false,
    context: fakeContext(),
  })) as unknown as TokenRequest;
}

const issued = async (spec?: TokenRequest["spec"]): Promise<string> => (await request(spec)).status?.token ?? "";

describe("token requests", () => {
  it("give tokens with upstream's claims", async () => {
    const answer = await request();
    const now = clock.now() / 1000;
    expect(answer.spec).toEqual({ audiences: [issuer], expirationSeconds: 3600 });
    expect(answer.status?.expirationTimestamp).toBe("2026-01-01T01:00:00Z");
    expect(decodeJwt(answer.status?.token ?? "")).toEqual({
      aud: [issuer],
      exp: now + 3600,
      iat: now,
      iss: issuer,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      "kubernetes.io": { namespace: "ns", serviceaccount: { name: "default", uid: "sa-1" } },
      nbf: now,
      sub: "system:serviceaccount:ns:default",
    });
  });

  it("bind to a pod and its node, for a year where the kubelet's token volume asks", async () => {
    const claims = decodeJwt(await issued({ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p" }, expirationSeconds: 3607 }));
    const now = clock.now() / 1000;
    expect(claims?.exp).toBe(now + 365 * 24 * 3600);
    expect(claims?.["kubernetes.io"]).toMatchObject({
      pod: { name: "p", uid: "pod-1" },
      node: { name: "n1", uid: "node-1" },
      warnafter: now + 3607,
    });
  });

  it.each([
    [
      { expirationSeconds: 5 },
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
    ],
    [{ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "absent" } }, 'pods "absent" not found'],
    [{ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "" } }, "Name parameter required."],
    [
      { boundObjectRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" } },
      "cannot bind token to object of type apps/v1, Kind=Deployment",
    ],
    [
      { boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p", uid: "old" } },
      "the UID in the bound object reference (old) does not match",
    ],
  ])("are refused: %j", async (spec, message) => {
    await expect(request(spec)).rejects.toThrow(message);
  });

  it("are refused for absent accounts", async () => {
    await expect(request({}, "absent")).rejects.toMatchObject({ code: 404, message: 'serviceaccounts "absent" not found' });
  });
});

describe("service-account tokens", () => {
  it("authenticate their account, with what they are bound to", async () => {
    const found = await tokens.authenticateToken(await issued({ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p" } }));
    expect(found?.user).toEqual({
      name: "system:serviceaccount:ns:default",
      uid: "sa-1",
      groups: ["system:serviceaccounts", "system:serviceaccounts:ns"],
      extra: {
        "authentication.kubernetes.io/credential-id": [expect.stringMatching(/^JTI=/)],
        "authentication.kubernetes.io/pod-name": ["p"],
        "authentication.kubernetes.io/pod-uid": ["pod-1"],
        "authentication.kubernetes.io/node-name": ["n1"],
        "authentication.kubernetes.io/node-uid": ["node-1"],
      },
    });
  });

  it("expire", async () => {
    const token = await issued();
    await clock.advance(3600_000);
    expect((await tokens.authenticateToken(token))?.user.uid).toBe("sa-1");
    await clock.advance(61_000);
    await expect(tokens.authenticateToken(token)).rejects.toThrow("service account token has expired");
  });

  it("die with their account, also when a new one has its name", async () => {
    const token = await issued();
    reader.remove(serviceaccounts, "ns/default");
    await expect(tokens.authenticateToken(token)).rejects.toThrow("not found");
    reader.put(serviceaccounts, { metadata: { namespace: "ns", name: "default", uid: "sa-2" } });
    await expect(tokens.authenticateToken(token)).rejects.toThrow("service account UID (sa-2) does not match claim (sa-1)");
  });

  it("die with the pod or secret they are bound to", async () => {
    reader.put(secrets, { metadata: { namespace: "ns", name: "s", uid: "secret-1" } });
    const ofPod = await issued({ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p" } });
    const ofSecret = await issued({ boundObjectRef: { apiVersion: "v1", kind: "Secret", name: "s" } });
    await expect(tokens.authenticateToken(ofSecret)).resolves.toBeDefined();
    reader.remove(pods, "ns/p");
    reader.remove(secrets, "ns/s");
    await expect(tokens.authenticateToken(ofPod)).rejects.toThrow("service account token has been invalidated");
    await expect(tokens.authenticateToken(ofSecret)).rejects.toThrow("service account token has been invalidated");
  });

  it("of a reader that is behind are looked up in the store", async () => {
    const token = await issued();
    const behind = createServiceAccountTokens({ signingKey: keys.privateKey, reader: new MemoryReader(), client, clock });
    expect((await behind.authenticateToken(token))?.user.uid).toBe("sa-1");
  });

  it("signed by somebody else are refused, those of other issuers are not ours", async () => {
    const other = createServiceAccountTokens({ signingKey: generateKey().privateKey, reader, clock });
    await expect(other.authenticateToken(await issued())).rejects.toThrow("invalid signature");
    const foreign = createServiceAccountTokens({ signingKey: keys.privateKey, issuers: ["https://else"], reader, clock });
    expect(await foreign.authenticateToken(await issued())).toBeUndefined();
    expect(await tokens.authenticateToken("nonsense")).toBeUndefined();
  });

  it("whose payload was changed are refused", async () => {
    const [header, , signature] = (await issued()).split(".");
    const forged = Buffer.from(JSON.stringify({ iss: issuer, sub: "system:serviceaccount:kube-system:admin" })).toString("base64url");
    await expect(tokens.authenticateToken(`${header}.${forged}.${signature}`)).rejects.toThrow("error in cryptographic primitive");
    const unsigned = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
    await expect(tokens.authenticateToken(`${unsigned}.${forged}.`)).rejects.toThrow("error in cryptographic primitive");
  });

  it("signed elsewhere with a key of ours are read as upstream reads them", async () => {
    const now = clock.now() / 1000;
    const identity = { namespace: "ns", serviceaccount: { name: "default", uid: "sa-1" } };
    const sub = "system:serviceaccount:ns:default";
    const good = { iss: issuer, aud: [issuer], sub, exp: now + 60, "kubernetes.io": identity };
    const sign = createJwtSigner(keys.privateKey);
    const use = (claims: object) => tokens.authenticateToken(sign({ ...good, ...claims }));
    expect((await use({}))?.auditAnnotations).toBeUndefined();
    expect((await use({ aud: undefined }))?.auditAnnotations).toEqual({ "authentication.k8s.io/legacy-token": sub });
    expect((await use({ exp: undefined }))?.user.uid).toBe("sa-1");
    const noAudience = "go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience";
    await expect(use({ aud: 5 })).rejects.toThrow(noAudience);
    await expect(use({ aud: [issuer, 5] })).rejects.toThrow(noAudience);
    await expect(use({ exp: "x" })).rejects.toThrow("go-jose/go-jose/jwt: expected number value to unmarshal NumericDate");
    await expect(use({ jti: 5 })).rejects.toThrow("json: cannot unmarshal number into Go value of type string");
    await expect(use({ "kubernetes.io": "x" })).rejects.toThrow(
      "json: cannot unmarshal string into Go value of type serviceaccount.kubernetes",
    );
    await expect(use({ "kubernetes.io": undefined })).rejects.toThrow("resource name may not be empty");
    expect(await tokens.authenticateToken(`${sign(good)}=`)).toBeUndefined();
    expect((await tokens.authenticateToken(sign({ ...good, aud: ["b", "a", "b"] }), ["a", "c", "b", "a"]))?.audiences).toEqual(["a", "b"]);
  });

  it("signed with RSA or an earlier key are accepted", async () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const old = createServiceAccountTokens({ signingKey: rsa.privateKey, reader, clock });
    const rotated = createServiceAccountTokens({
      signingKey: keys.privateKey,
      keys: new ServiceAccountKeys([keys.privateKey, rsa.publicKey]),
      reader,
      clock,
    });
    const account = reader.informer(serviceaccounts).get("ns/default");
    if (!account) throw new Error("no account");
    const token = await old.issue({ serviceAccount: account, audiences: [issuer], expirationSeconds: 600 });
    expect((await rotated.authenticateToken(token))?.user.uid).toBe("sa-1");
    expect(rotated.keySet().keys.map((k) => k.alg)).toEqual(["ES256", "RS256"]);
  });
});

describe("token reviews", () => {
  async function review(spec: TokenReview["spec"], { anonymous = false } = {}): Promise<TokenReview> {
    const create = authenticationReviews({ tokens, audiences: tokens.audiences, anonymous, clock })[
      "authentication.k8s.io/tokenreviews"
    ] as CreateHandler;
    const object = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", metadata: {}, spec } as unknown as TokenReview;
    return (await create({
      type: serviceaccounts,
      subresource: "",
      namespace: "",
      name: "",
      object,
      dryRun: false,
      context: fakeContext(),
    })) as TokenReview;
  }

  it("tell whose token it is, for the audiences they share", async () => {
    const token = await issued({ audiences: ["vault"] });
    expect((await review({ token, audiences: ["vault", "other"] })).status).toMatchObject({
      authenticated: true,
      audiences: ["vault"],
      user: {
        username: "system:serviceaccount:ns:default",
        groups: ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
      },
    });
    expect((await review({ token })).status).toEqual({
      error: `[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["${issuer}"]]`,
      user: {},
    });
  });

  it("read a token as a request brings it: up to a space, and a blank one is none", async () => {
    const token = await issued({ audiences: ["vault"] });
    expect((await review({ token: `${token} more`, audiences: ["vault"] })).status).toMatchObject({ authenticated: true });
    const anonymous = { username: "system:anonymous", groups: ["system:unauthenticated"] };
    for (const blank of [" ", "\t", ` ${token}`]) {
      expect((await review({ token: blank, audiences: ["a"] }, { anonymous: true })).status).toEqual({
        authenticated: true,
        audiences: ["a"],
        user: anonymous,
      });
      expect((await review({ token: blank })).status).toEqual({ user: {} });
    }
  });

  it("of nonsense say so, without a token they are bad requests", async () => {
    expect((await review({ token: "nonsense" })).status).toEqual({ error: "invalid bearer token", user: {} });
    await expect(review({ token: "" })).rejects.toMatchObject({
      code: 400,
      message: "token is required for TokenReview in authentication",
    });
  });
});

describe("openIdHandlers()", () => {
  it("serve the issuer's metadata and keys", async () => {
    const handlers = openIdHandlers({ tokens, keysUri: () => "https://10.0.0.1:6443/openid/v1/jwks" });
    const read = async (path: string) => {
      const response = await handlers[path]?.(fakeContext());
      if (response?.kind !== "bytes") throw new Error("no bytes");
      return { contentType: response.contentType, body: JSON.parse(Buffer.from(response.bytes).toString()) };
    };
    expect((await read("/.well-known/openid-configuration")).body).toEqual({
      issuer,
      jwks_uri: "https://10.0.0.1:6443/openid/v1/jwks",
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    });
    const { contentType, body } = await read("/openid/v1/jwks");
    expect(contentType).toBe("application/jwk-set+json");
    expect(body.keys[0]).toMatchObject({ use: "sig", kty: "EC", crv: "P-256", alg: "ES256", kid: expect.any(String) });
    expect(body.keys[0].d).toBeUndefined();
  });
});
