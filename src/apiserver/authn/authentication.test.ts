import { describe, expect, it } from "vitest";
import { secrets } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { generateKey, issueCertificate } from "../../base/x509/certificate.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { authenticationStage } from "./authentication-stage.ts";
import type { Authenticator } from "./authenticator.ts";
import { createBearerTokenAuthenticator, unionTokenAuthenticator } from "./bearer-token.ts";
import { createBootstrapTokenAuthenticator } from "./bootstrap-token.ts";
import { createClientCertificateAuthenticator } from "./client-certificate.ts";
import { answerOk, fakeContext, type RequestFixture } from "./request-fixture.ts";
import { createTokenFileAuthenticator } from "./token-file.ts";
import { loopbackUser } from "./user.ts";

const tokenFile = createTokenFileAuthenticator('t1,jane,7,"devs,ops"\n"t""2",bob,8\n,nobody,9\n');

async function userFor(
  fixture: RequestFixture,
  authenticators: readonly Authenticator[],
  anonymous = { enabled: true, paths: [] as string[] },
) {
  const context = fakeContext(fixture);
  await authenticationStage({ authenticators, anonymous, logger: silentLogger })(context, answerOk);
  return context.user;
}

const bearer = (token: string): RequestFixture => ({ headers: { authorization: `Bearer ${token}` } });

describe("authenticationStage()", () => {
  const tokens = [createBearerTokenAuthenticator(tokenFile)];

  it("takes requests without credentials for anonymous, unless that is forbidden", async () => {
    expect(await userFor({}, tokens)).toEqual({ name: "system:anonymous", groups: ["system:unauthenticated"] });
    await expect(userFor({}, tokens, { enabled: false, paths: [] })).rejects.toMatchObject({ code: 401, reason: "Unauthorized" });
  });

  it("refuses bad credentials rather than calling them anonymous", async () => {
    await expect(userFor(bearer("nonsense"), tokens)).rejects.toMatchObject({ code: 401, message: "Unauthorized" });
  });

  it("trusts the in-process transport", async () => {
    expect(await userFor({ trustedUser: loopbackUser }, tokens)).toBe(loopbackUser);
  });

  it("reads token files: groups, quoting, lines without a token", async () => {
    expect(await userFor(bearer("t1"), tokens)).toEqual({ name: "jane", uid: "7", groups: ["devs", "ops", "system:authenticated"] });
    expect(await userFor(bearer('t"2'), tokens)).toEqual({ name: "bob", uid: "8", groups: ["system:authenticated"] });
    const empty = createTokenFileAuthenticator("t,jane,7,").authenticateToken("t");
    expect(await empty).toEqual({ user: { name: "jane", uid: "7", groups: [""] } });
    expect(() => createTokenFileAuthenticator("t,jane")).toThrow("at least 3 columns");
  });

  it("takes tokens of WebSocket clients from their subprotocols", async () => {
    const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from("t1").toString("base64url")}`;
    const headers = { upgrade: "websocket", "sec-websocket-protocol": `${protocol}, v5.channel.k8s.io` };
    expect((await userFor({ headers }, tokens)).name).toBe("jane");
  });
});

describe("client certificates", () => {
  const clock = new VirtualClock();
  const keys = generateKey();
  const certificate = (usage: "clientAuth" | "serverAuth", lifetimeMs = 3600_000) =>
    issueCertificate(
      {
        subject: { commonName: "jane", organizations: ["devs"] },
        publicKey: keys.publicKey,
        notBeforeMs: clock.now(),
        notAfterMs: clock.now() + lifetimeMs,
        keyUsages: ["digitalSignature"],
        extendedKeyUsages: [usage],
      },
      { key: keys.privateKey },
    ).der;

  it("name user and groups", async () => {
    const user = await userFor({ clientCertificate: certificate("clientAuth") }, [createClientCertificateAuthenticator({ clock })]);
    expect(user).toMatchObject({ name: "jane", groups: ["devs", "system:authenticated"] });
    expect(user.extra?.["authentication.kubernetes.io/credential-id"]?.[0]).toMatch(/^X509SHA256=[0-9a-f]{64}$/);
  });

  it("are refused once they have expired, and where they are for servers", async () => {
    const authenticators = [createClientCertificateAuthenticator({ clock })];
    await expect(userFor({ clientCertificate: certificate("serverAuth") }, authenticators)).rejects.toMatchObject({ code: 401 });
    const short = certificate("clientAuth", 1000);
    expect((await userFor({ clientCertificate: short }, authenticators)).name).toBe("jane");
    await clock.advance(2000);
    await expect(userFor({ clientCertificate: short }, authenticators)).rejects.toMatchObject({ code: 401 });
  });
});

describe("bootstrap tokens", () => {
  const clock = new VirtualClock();
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  function authenticator(data: Record<string, string>) {
    const reader = new MemoryReader();
    const all = { "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", ...data };
    reader.put(secrets, {
      metadata: { namespace: "kube-system", name: "bootstrap-token-abcdef" },
      type: "bootstrap.kubernetes.io/token",
      data: Object.fromEntries(Object.entries(all).map(([k, v]) => [k, base64(v)])),
    });
    return createBootstrapTokenAuthenticator({ reader, clock });
  }
  const token = "abcdef.0123456789abcdef";

  it("authenticate as bootstrappers with extra groups", async () => {
    const found = await authenticator({ "auth-extra-groups": "system:bootstrappers:kubeadm" }).authenticateToken(token);
    expect(found?.user).toEqual({ name: "system:bootstrap:abcdef", groups: ["system:bootstrappers", "system:bootstrappers:kubeadm"] });
  });

  it.each([
    ["has expired", { expiration: "2020-01-01T00:00:00Z" }],
    ["is for something else", { "usage-bootstrap-authentication": "false" }],
    ["names a group it may not", { "auth-extra-groups": "system:masters" }],
    ["has another secret part", { "token-secret": "ffffffffffffffff" }],
  ])("are not known when the secret %s", async (_why, data) => {
    expect(await authenticator(data).authenticateToken(token)).toBeUndefined();
  });
});

describe("unionTokenAuthenticator()", () => {
  it("tells all refusals where nobody accepts the token", async () => {
    const refuse = (text: string) => ({ authenticateToken: () => Promise.reject(new Error(text)) });
    await expect(unionTokenAuthenticator([refuse("a"), tokenFile, refuse("b")]).authenticateToken("x")).rejects.toThrow("[a, b]");
    expect((await unionTokenAuthenticator([refuse("a"), tokenFile]).authenticateToken("t1"))?.user.name).toBe("jane");
  });
});
