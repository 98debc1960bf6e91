import { createHash, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID, sign } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { serviceaccounts } from "../../api/resources.generated.ts";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { startWebhookServer } from "../../apiserver/webhook/webhook-server-fixture.ts";
import { realClock } from "../../base/clock.ts";
import { generateKey, privateKeyPem, publicKeyPem } from "../../base/x509/certificate.ts";
import { ApiServerFixture, call, selfMadeCertificate, whoIs } from "./apiserver-fixture.ts";
import type { RunningApiServer } from "./start-apiserver.ts";

let fixture: ApiServerFixture;
const started: AsyncDisposable[] = [];
beforeEach(async () => {
  fixture = await ApiServerFixture.create();
});
afterEach(async () => {
  await fixture[Symbol.asyncDispose]();
  for (const one of started.splice(0)) await one[Symbol.asyncDispose]();
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });

function jwt(claims: object, key: KeyObject = rsa.privateKey, header: object = { alg: "RS256", kid: "k1" }): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

interface Issuer extends AsyncDisposable {
  readonly url: string;
  readonly caPem: string;
  /** Public keys by id. */
  keys: Record<string, KeyObject>;
  /** What distributed claims are answered with. */
  claim: string;
  /** Paths asked for so far, with the credentials. */
  readonly asked: string[];
  token(claims?: object, key?: KeyObject, header?: object): string;
}

/** A real OpenID provider over HTTPS. */
async function startIssuer(): Promise<Issuer> {
  const { cert, key, caPem } = selfMadeCertificate();
  const server = createServer({ cert, key }, (request, response) => {
    issuer.asked.push([request.url, request.headers.authorization].filter(Boolean).join(" "));
    const document = { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` };
    const keys = Object.entries(issuer.keys).map(([kid, k]) => ({ ...k.export({ format: "jwk" }), kid, use: "sig" }));
    if (request.url === "/groups") response.end(issuer.claim);
    else if (request.url === "/keys") response.end(JSON.stringify({ keys }));
    else if (request.url?.endsWith("/openid-configuration")) response.end(JSON.stringify(document));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: Issuer = {
    url,
    caPem,
    keys: { k1: rsa.publicKey },
    claim: "",
    asked: [],
    token: (claims = {}, ...signing) =>
      jwt({ iss: url, aud: "kube", sub: "jane", exp: Math.floor(realClock.now() / 1000) + 600, jti: randomUUID(), ...claims }, ...signing),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  started.push(issuer);
  return issuer;
}

const reviewed = async (server: RunningApiServer, token: string): Promise<string | undefined> => {
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } };
  const transport = server.transportFor(loopbackUser);
  const answer = await transport.request({ method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", body });
  const { error } = (answer.body as { status?: { error?: string } }).status ?? {};
  // What the server's own token says comes first.
  return /^\[invalid bearer token, (.*)\]$/s.exec(error ?? "")?.[1] ?? error;
};

describe("tokens of an OpenID issuer, by flags", () => {
  const flagsFor = async (issuer: Issuer): Promise<string[]> => [
    `--oidc-issuer-url=${issuer.url}`,
    "--oidc-client-id=kube",
    `--oidc-ca-file=${await fixture.file("issuer-ca.crt", issuer.caPem)}`,
    "--oidc-groups-claim=groups",
    "--oidc-groups-prefix=oidc:",
    "--oidc-required-claim=tenant=acme",
  ];

  it("become users with groups", async () => {
    const issuer = await startIssuer();
    const server = await fixture.start(...(await flagsFor(issuer)));
    const token = issuer.token({ tenant: "acme", groups: ["devs", "ops"], jti: "j1" });
    await vi.waitFor(
      async () =>
        expect(await whoIs(server, token)).toEqual({
          username: `${issuer.url}#jane`,
          groups: ["oidc:devs", "oidc:ops", "system:authenticated"],
          extra: { "authentication.kubernetes.io/credential-id": ["JTI=j1"] },
        }),
      60_000,
    );
  });

  it("are refused with upstream's reasons", async () => {
    const issuer = await startIssuer();
    const server = await fixture.start(...(await flagsFor(issuer)));
    const good = { tenant: "acme" };
    await vi.waitFor(async () => expect(await whoIs(server, issuer.token(good))).toBeTypeOf("object"), 60_000);
    const why = (claims: object, ...signing: [KeyObject?, object?]) => reviewed(server, issuer.token({ ...good, ...claims }, ...signing));
    expect(await why({ exp: 1_700_000_000 })).toBe(
      "oidc: verify token: oidc: token is expired (Token Expiry: 2023-11-14 22:13:20 +0000 UTC)",
    );
    expect(await why({ aud: "other" })).toBe('oidc: verify token: oidc: expected audience "kube" got ["other"]');
    expect(await why({ iss: "https://else" })).toBe("invalid bearer token");
    expect(await why({ nbf: 4_000_000_000 })).toMatch(/before the nbf \(not before\) time: 2096-10-02/);
    expect(await why({ tenant: "other" })).toBe("oidc: required claim tenant value does not match. Got = other, want = acme");
    const verifying = "oidc: verify token: oidc: failed to unmarshal claims: json: cannot unmarshal";
    expect(await why({ sub: 7 })).toBe(`${verifying} number into Go struct field idToken.sub of type string`);
    expect(await why({ aud: ["kube", 1] })).toBe(`${verifying} number into Go struct field idToken.aud of type string`);
    expect(await why({ exp: undefined })).toMatch(/token is expired \(Token Expiry: 0001-01-01 00:00:00 \+0000 UTC\)$/);
    expect(await why({ exp: 1e30 })).toMatch(/token is expired/);
    expect(await why({ groups: [1] })).toBe('oidc: parse groups claim "groups": json: cannot unmarshal array into Go value of type string');
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    expect(await why({}, other)).toBe("oidc: verify token: failed to verify signature: failed to verify id token signature");
    const ec = generateKey();
    issuer.keys = { ...issuer.keys, ec: ec.publicKey };
    expect(await why({}, ec.privateKey, { alg: "ES256", kid: "ec" })).toBe(
      'oidc: verify token: oidc: id token signed with unsupported algorithm, expected ["RS256"] got "ES256"',
    );
    // What a header asks to be understood must be, and nothing may be written otherwise than it was signed.
    const unsigned = "oidc: verify token: failed to verify signature: failed to verify id token signature";
    expect(await why({}, rsa.privateKey, { alg: "RS256", kid: "k1", crit: ["exp"] })).toBe(unsigned);
    expect(await why({}, rsa.privateKey, { alg: "RS256", kid: "k1", b64: false })).toBe(unsigned);
    expect(await why({}, rsa.privateKey, { alg: "RS256", kid: "k1", crit: ["b64"], b64: true })).toBeUndefined();
    expect(await why({}, rsa.privateKey, { alg: "RS256", kid: 1 })).toBe(
      'oidc: verify token: oidc: malformed jwt: failed to unmarshal key ID: json: cannot unmarshal number into Go value of type string: "1"',
    );
    expect(await reviewed(server, `${issuer.token(good)}=`)).toMatch(/malformed jwt: illegal base64 data at input byte 342$/);
    // The issuer's public key is no secret that tokens could be signed with.
    expect(await why({}, rsa.privateKey, { alg: "HS256", kid: "k1" })).toMatch(/unsupported algorithm/);
  });

  it("are judged by keys that are fetched when they are needed", async () => {
    const issuer = await startIssuer();
    const server = await fixture.start(...(await flagsFor(issuer)));
    await vi.waitFor(async () => expect(await whoIs(server, issuer.token({ tenant: "acme" }))).toBeTypeOf("object"), 60_000);
    const next = generateKeyPairSync("rsa", { modulusLength: 2048 });
    issuer.keys = { k2: next.publicKey };
    expect(await whoIs(server, issuer.token({ tenant: "acme" }, next.privateKey, { alg: "RS256", kid: "k2" }))).toBeTypeOf("object");
    const fetches = issuer.asked.filter((path) => path === "/keys").length;
    const token = issuer.token({ tenant: "acme" }, next.privateKey, { alg: "RS256", kid: "k2" });
    await Promise.all([whoIs(server, token), whoIs(server, token)]);
    expect(issuer.asked.filter((path) => path === "/keys")).toHaveLength(fetches);
  });

  it("may leave their groups elsewhere", async () => {
    const issuer = await startIssuer();
    const server = await fixture.start(...(await flagsFor(issuer)));
    issuer.claim = issuer.token({ groups: ["far"] });
    const elsewhere = { _claim_names: { groups: "s" }, _claim_sources: { s: { endpoint: `${issuer.url}/groups`, access_token: "t" } } };
    await vi.waitFor(
      async () =>
        expect(await whoIs(server, issuer.token({ tenant: "acme", ...elsewhere }))).toMatchObject({
          groups: ["oidc:far", "system:authenticated"],
        }),
      60_000,
    );
    expect(issuer.asked).toContain("/groups Bearer t");
    issuer.claim = jwt({ iss: issuer.url, aud: "kube", groups: ["forged"], exp: 4_000_000_000 }, generateKey().privateKey);
    expect(await reviewed(server, issuer.token({ tenant: "acme", ...elsewhere }))).toMatch(
      /^oidc: could not expand distributed claims: verify/,
    );
  });
});

describe("--authentication-config", () => {
  const config = (jwt: readonly object[], more: object = {}): string =>
    JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt, ...more });
  const issuerConfig = (issuer: Issuer, prefix: string): object => ({
    issuer: { url: issuer.url, certificateAuthority: issuer.caPem, audiences: ["kube", "other"], audienceMatchPolicy: "MatchAny" },
    claimMappings: { username: { claim: "sub", prefix }, uid: { claim: "oid" } },
  });

  it("takes several issuers, any audience of each, and is followed as it changes", async () => {
    const [one, two] = [await startIssuer(), await startIssuer()];
    const path = await fixture.file("authn.yaml", config([issuerConfig(one, "one:")]));
    const server = await fixture.start(`--authentication-config=${path}`);
    await vi.waitFor(
      async () =>
        expect(await whoIs(server, one.token({ aud: ["x", "other"], oid: "7" }))).toMatchObject({ username: "one:jane", uid: "7" }),
      60_000,
    );
    expect(await whoIs(server, two.token({ oid: "7" }))).toBe(401);
    await writeFile(path, "jwt: [");
    await writeFile(path, config([issuerConfig(one, "changed:"), issuerConfig(two, "two:")]));
    await vi.waitFor(async () => {
      expect(await whoIs(server, two.token({ oid: "7" }))).toMatchObject({ username: "two:jane" });
      expect(await whoIs(server, one.token({ oid: "7" }))).toMatchObject({ username: "changed:jane" });
    }, 10_000);
    expect(server.metrics.text()).toMatch(
      /authentication_config_controller_automatic_reloads_total\{apiserver_id_hash="[^"]*",status="success"\} 1/,
    );
    const hashOf = ({ url }: typeof one): string => `sha256:${createHash("sha256").update(url).digest("hex")}`;
    const told = (family: string): string[] =>
      server.metrics
        .text()
        .split("\n")
        .filter((line) => line.startsWith(`apiserver_authentication_jwt_authenticator_${family}{`));
    const issuersIn = (family: string): boolean[] => [one, two].map((issuer) => told(family).some((line) => line.includes(hashOf(issuer))));
    expect(issuersIn("latency_seconds_count")).toEqual([true, true]);
    for (const family of ["jwks_fetch_last_timestamp_seconds", "jwks_fetch_last_key_set_info"])
      expect(issuersIn(family)).toEqual([true, true]);
    // An issuer that is configured no longer is told of no more.
    await writeFile(path, config([issuerConfig(one, "changed:")]));
    await vi.waitFor(async () => expect(await whoIs(server, two.token({ oid: "7" }))).toBe(401), 10_000);
    await vi.waitFor(() => expect(issuersIn("jwks_fetch_last_key_set_info")).toEqual([true, false]), 10_000);
    expect(issuersIn("jwks_fetch_last_timestamp_seconds")).toEqual([true, false]);
  }, 30_000);

  it("maps claims and judges them by expressions", async () => {
    const issuer = await startIssuer();
    const path = await fixture.file(
      "authn.yaml",
      config([
        {
          issuer: { url: issuer.url, certificateAuthority: issuer.caPem, audiences: ["kube"] },
          claimMappings: {
            username: { expression: "'mail:' + claims.email" },
            groups: { expression: "claims.roles.map(r, 'role:' + r)" },
            uid: { expression: "string(claims.number)" },
            extra: [{ key: "acme.com/tenant", valueExpression: "has(claims.tenant) ? claims.tenant : ''" }],
          },
          claimValidationRules: [{ expression: "claims.email_verified == true", message: "mail must be verified" }],
          userValidationRules: [{ expression: "!user.username.startsWith('mail:system')", message: "no system users" }],
        },
      ]),
    );
    const server = await fixture.start(`--authentication-config=${path}`);
    const claims = { email: "jane@acme.com", email_verified: true, roles: ["dev", ""], number: 7, tenant: "t1", jti: "j" };
    await vi.waitFor(
      async () =>
        expect(await whoIs(server, issuer.token(claims))).toEqual({
          username: "mail:jane@acme.com",
          uid: "7",
          groups: ["role:dev", "role:", "system:authenticated"],
          extra: { "acme.com/tenant": ["t1"], "authentication.kubernetes.io/credential-id": ["JTI=j"] },
        }),
      60_000,
    );
    const why = (changes: object) => reviewed(server, issuer.token({ ...claims, ...changes }));
    expect(await why({ email_verified: false })).toBe(
      "oidc: error evaluating claim validation expression: validation expression 'claims.email_verified == true' failed: mail must be verified",
    );
    expect(await why({ email: "system:x" })).toMatch(/^oidc: error evaluating user info validation rule: .* failed: no system users$/);
    expect(await why({ email: undefined })).toBe(
      "oidc: error evaluating username claim expression: expression ''mail:' + claims.email' resulted in error: no such key: email",
    );
    expect(await why({ roles: [7] })).toMatch(/^oidc: error evaluating group claim expression: /);
  });

  it("keeps the issuers it has until all of a new configuration are found, or that is replaced", async () => {
    const [one, two] = [await startIssuer(), await startIssuer()];
    const path = await fixture.file("authn.yaml", config([issuerConfig(one, "one:")]));
    const server = await fixture.start(`--authentication-config=${path}`);
    const ask = (issuer: Issuer) => whoIs(server, issuer.token({ oid: "7" }));
    await vi.waitFor(async () => expect(await ask(one)).toMatchObject({ username: "one:jane" }), 60_000);
    const absent = { ...two, url: `${two.url}/absent` };
    await writeFile(path, config([issuerConfig(absent, "absent:")]));
    await vi.waitFor(() => expect(two.asked).toContain("/absent/.well-known/openid-configuration"), 60_000);
    expect(await ask(one)).toMatchObject({ username: "one:jane" });
    await writeFile(path, config([issuerConfig(two, "two:")]));
    await vi.waitFor(async () => expect(await ask(two)).toMatchObject({ username: "two:jane" }), 60_000);
    expect(await ask(one)).toBe(401);
    expect(server.metrics.text()).toMatch(/automatic_reloads_total\{apiserver_id_hash="[^"]*",status="success"\} 1/);
  }, 20_000);

  it("may let some paths be asked for anonymously", async () => {
    const path = await fixture.file("authn.yaml", config([], { anonymous: { enabled: true, conditions: [{ path: "/livez" }] } }));
    const server = await fixture.start(`--authentication-config=${path}`);
    expect((await call(server, "/livez")).status).toBe(200);
    expect((await call(server, "/readyz")).status).toBe(401);
    expect(await fixture.problem(`--authentication-config=${path}`, "--anonymous-auth=true")).toMatch(
      /^--authentication-config: anonymous: Forbidden: --anonymous-auth flag cannot be set/,
    );
  });

  it.each([
    [
      [{}],
      /invalid authentication configuration: \[jwt\[0\]\.issuer\.url: Required value, jwt\[0\]\.issuer\.audiences: Required value: at least one/,
    ],
    [
      [{ issuer: { url: "http://x?y", audiences: ["a"] }, claimMappings: { username: { claim: "sub", prefix: "" } } }],
      /\[jwt\[0\]\.issuer\.url: Invalid value: "http:\/\/x\?y": URL scheme must be https, jwt\[0\]\.issuer\.url: Invalid value: "http:\/\/x\?y": URL must not contain a query\]/,
    ],
    [
      [{ issuer: { url: "https://x", audiences: ["a", "b"] }, claimMappings: { username: { claim: "sub" } } }],
      /audienceMatchPolicy must be MatchAny for multiple audiences, jwt\[0\]\.claimMappings\.username\.prefix: Required value: prefix is required/,
    ],
    [
      [
        {
          issuer: { url: "https://kubernetes.default.svc.cluster.local", audiences: ["a"] },
          claimMappings: { username: { claim: "sub", prefix: "" } },
        },
      ],
      /URL must not overlap with disallowed issuers: \[https:\/\/kubernetes\.default\.svc\.cluster\.local\]/,
    ],
    [
      [
        {
          issuer: { url: "https://x", audiences: ["a"] },
          claimMappings: { username: { expression: "claims.email" }, groups: { expression: "claims." } },
          claimValidationRules: [{ expression: "1" }, { expression: "other.x" }],
        },
      ],
      /claimValidationRules\[0\]\.expression: Invalid value: "1": must evaluate to bool, jwt\[0\]\.claimValidationRules\[1\]\.expression: Invalid value: "other\.x": compilation failed: .*undeclared reference to 'other'.*claimMappings\.groups\.expression: Invalid value: "claims\.": compilation failed: .*Syntax error.*claimMappings\.username\.expression: Invalid value: "claims\.email": claims\.email_verified must be used/,
    ],
    [[{ issuers: {} }], /^--authentication-config: jwt\[0\]\.issuers: unknown field/],
  ])("is refused with the fields that are wrong: %j", async (jwtConfigs, message) => {
    const path = await fixture.file("authn.yaml", config(jwtConfigs));
    expect(await fixture.problem(`--authentication-config=${path}`)).toMatch(message);
  });
});

describe("service-account keys", () => {
  it("come from files: what signs, what is accepted, and what others are told", async () => {
    const [signing, earlier] = [generateKey(), rsa];
    const keyFile = await fixture.file("earlier.pub", publicKeyPem(earlier.publicKey));
    const signingFile = await fixture.file("sa.key", privateKeyPem(signing.privateKey));
    const issuers = ["https://new.example.com", "https://old.example.com"];
    const server = await fixture.start(
      ...issuers.map((issuer) => `--service-account-issuer=${issuer}`),
      `--service-account-signing-key-file=${signingFile}`,
      `--service-account-key-file=${keyFile}`,
      "--service-account-jwks-uri=https://keys.example.com/jwks",
      "--service-account-max-token-expiration=1h",
    );
    const client = server.clientFor(loopbackUser);
    const account = await client.create(serviceaccounts, { metadata: { name: "robot", namespace: "default" } });
    const requested = await server.transportFor(loopbackUser).request({
      method: "POST",
      path: "/api/v1/namespaces/default/serviceaccounts/robot/token",
      body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 7200 } },
    });
    const issued = requested.body as { spec: { audiences: string[]; expirationSeconds: number }; status: { token: string } };
    expect(issued.spec).toMatchObject({ audiences: issuers, expirationSeconds: 3600 });
    expect(await whoIs(server, issued.status.token)).toMatchObject({ username: "system:serviceaccount:default:robot" });
    const exp = Math.floor(realClock.now() / 1000) + 600;
    const identity = { namespace: "default", serviceaccount: { name: "robot", uid: account.metadata.uid } };
    const old = jwt({ iss: issuers[1], aud: [issuers[1]], exp, "kubernetes.io": identity }, rsa.privateKey, { alg: "RS256" });
    expect(await whoIs(server, old)).toMatchObject({ username: "system:serviceaccount:default:robot" });

    const discovery = JSON.parse((await call(server, "/.well-known/openid-configuration", { token: old })).text);
    expect(discovery).toMatchObject({
      issuer: issuers[0],
      jwks_uri: "https://keys.example.com/jwks",
      id_token_signing_alg_values_supported: ["ES256", "RS256"],
    });
    const { keys } = JSON.parse((await call(server, "/openid/v1/jwks", { token: old })).text);
    const published = (keys as JsonWebKey[]).map((key) =>
      createPublicKey({ key, format: "jwk" }).export({ format: "pem", type: "spki" }).toString(),
    );
    expect(published).toEqual([publicKeyPem(signing.publicKey), publicKeyPem(earlier.publicKey)]);
  });

  it("that do not serve are named with their flag", async () => {
    const noKey = await fixture.file("no.key", "nothing");
    expect(await fixture.problem(`--service-account-key-file=${noKey}`)).toBe(
      "--service-account-key-file: data does not contain any valid RSA or ECDSA public keys",
    );
    expect(await fixture.problem(`--service-account-signing-key-file=${noKey}`)).toBe(
      "--service-account-signing-key-file: data does not contain a valid RSA or ECDSA private key",
    );
    expect(await fixture.problem("--service-account-jwks-uri=http://x")).toMatch(
      /for --service-account-jwks-uri: expected a URL that begins/,
    );
    expect(await fixture.problem("--service-account-max-token-expiration=5m")).toMatch(
      /^--service-account-max-token-expiration: expected a duration/,
    );
    expect(await fixture.problem("--service-account-issuer=a", "--service-account-issuer=a")).toMatch(/expected each issuer once/);
    expect(await fixture.problem("--oidc-client-id=x")).toMatch(/^--oidc-issuer-url and --oidc-client-id: expected both/);
    expect(await fixture.problem("--oidc-issuer-url=http://x", "--oidc-client-id=x")).toMatch(
      /^--oidc-issuer-url .*URL scheme must be https/,
    );
    expect(await fixture.problem("--oidc-issuer-url=https://x", "--oidc-client-id=x", "--oidc-signing-algs=HS256")).toMatch(
      /unknown algorithm "HS256"/,
    );
    expect(await fixture.problem("--oidc-required-claim=x")).toMatch(/for --oidc-required-claim: expected "claim=value"/);
    expect(await fixture.problem("--authentication-config=x", "--oidc-client-id=x", "--oidc-issuer-url=https://x")).toMatch(
      /^--authentication-config: expected no --oidc-\* flags/,
    );
  });
});

describe("static tokens", () => {
  it("are good for the audiences of the API server, and for no others", async () => {
    const file = await fixture.file("tokens.csv", "secret,jane,7\n");
    const server = await fixture.start(`--token-auth-file=${file}`, "--api-audiences=api,kube");
    const review = async (audiences: readonly string[]): Promise<unknown> => {
      const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token: "secret", audiences } };
      const path = "/apis/authentication.k8s.io/v1/tokenreviews";
      const answer = await server.transportFor(loopbackUser).request({ method: "POST", path, body });
      return (answer.body as { status: unknown }).status;
    };
    expect(await review(["kube", "vault"])).toMatchObject({ authenticated: true, audiences: ["kube"], user: { username: "jane" } });
    expect(await review(["vault"])).toEqual({ error: "invalid bearer token", user: {} });
  });
});

describe("--authentication-token-webhook-config-file", () => {
  it("asks a webhook about tokens that nobody else knows, and remembers what it says", async () => {
    const webhook = await startWebhookServer((body) => {
      const { spec } = body as { spec: { token: string; audiences: readonly string[] } };
      const user = { username: "bob", uid: "9", groups: ["devs"], extra: { "acme.com/x": ["y"] } };
      return { body: { status: spec.token === "good" ? { authenticated: true, user } : { authenticated: false, error: "no such token" } } };
    });
    started.push(webhook);
    const server = await fixture.start(
      `--authentication-token-webhook-config-file=${await fixture.kubeconfig("hook", webhook.url("/review"), webhook.caPem)}`,
      "--authentication-token-webhook-version=v1",
    );
    const bob = { username: "bob", uid: "9", groups: ["devs", "system:authenticated"], extra: { "acme.com/x": ["y"] } };
    expect(await whoIs(server, "good")).toEqual(bob);
    expect(await whoIs(server, "good")).toEqual(bob);
    expect(webhook.bodies).toEqual([
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        metadata: {},
        spec: { token: "good", audiences: ["https://kubernetes.default.svc.cluster.local"] },
        status: { user: {} },
      },
    ]);
    expect(await whoIs(server, "bad")).toBe(401);
    expect(await reviewed(server, "bad")).toBe("no such token");
  });

  it("with a file that does not serve is refused", async () => {
    expect(await fixture.problem("--authentication-token-webhook-config-file=/none/such")).toMatch(
      /^--authentication-token-webhook-config-file: /,
    );
    expect(await fixture.problem("--authentication-token-webhook-version=v2")).toMatch(/expected "v1" or "v1beta1"/);
  });
});
