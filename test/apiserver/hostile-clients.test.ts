// Clients that mean no good, against the command as it runs: each gets a Status or the end of its connection, the server's
// memory stays bounded, and a client that behaves is answered beside them.
import { createPrivateKey, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Certificate, certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../src/base/x509/certificate.ts";
import {
  openTcp,
  openTls,
  type Reply,
  type Sent,
  send,
  sendRaw,
  several,
  startTarget,
  statusOf,
  type Target,
} from "../support/hostile-client.ts";
import { until } from "../support/processes.ts";

let target: Target;
let tenant: string;
let residentAtStart: number;

const configMaps = "/api/v1/namespaces/default/configmaps";
const json = { "content-type": "application/json" };

beforeAll(async () => {
  target = await startTarget();
  await target.created("/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "tenant" } });
  await target.created("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {
    metadata: { name: "tenant" },
    rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["*"] }],
  });
  await target.created("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
    metadata: { name: "tenant" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "tenant" },
    subjects: [{ kind: "ServiceAccount", name: "tenant", namespace: "default" }],
  });
  tenant = await tokenOf("tenant");
  residentAtStart = await target.residentMiB();
});
afterEach(() => target.answersOthers());
afterAll(() => target.stop());

async function tokenOf(account: string): Promise<string> {
  const path = `/api/v1/namespaces/default/serviceaccounts/${account}/token`;
  return (await target.created<{ status: { token: string } }>(path, { spec: {} })).status.token;
}

describe("bodies", () => {
  const nested = (open: string, close: string, depth: number): string => `${open.repeat(depth)}1${close.repeat(depth)}`;
  const yaml = { "content-type": "application/yaml" };
  const laughs = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ..."bcdefghi".split("").map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`),
  ];

  test.each<[string, Sent["headers"], string | Buffer, number]>([
    ["nothing", json, "", 400],
    ["half an object", json, '{"metadata":{"name":', 400],
    ["a list", json, "[]", 400],
    ["bytes", json, Buffer.from([0xff, 0xfe, 0x00, 0x80]), 400],
    ["a NUL in a name", json, '{"metadata":{"name":"a\\u0000b"}}', 422],
    ["a name of a megabyte", json, JSON.stringify({ metadata: { name: "a".repeat(1_000_000) } }), 422],
    ["a label of a megabyte", json, JSON.stringify({ metadata: { name: "a", labels: { a: "b".repeat(1_000_000) } } }), 422],
    ["annotations beyond their limit", json, JSON.stringify({ metadata: { name: "a", annotations: { a: "b".repeat(300_000) } } }), 422],
    ["a hundred thousand unknown fields", json, `{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":1`).join(",")}}`, 400],
    ["a hundred thousand fields given twice", json, `{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":1,"f${i}":1`).join(",")}}`, 400],
    ["objects a million deep", json, nested('{"a":', "}", 400_000), 400],
    ["lists a million deep, cut short", json, "[".repeat(1_000_000), 400],
    ["YAML lists a hundred thousand deep", yaml, "[".repeat(100_000), 400],
    ["YAML pairs ten thousand deep", yaml, nested("{a: ", "}", 10_000), 400],
    ["a billion laughs", yaml, laughs.join("\n"), 400],
    ["a long text two thousand times", yaml, `a: &a ${"x".repeat(100_000)}\nb: [${Array(2000).fill("*a").join(",")}]`, 400],
    ["an anchor in itself", yaml, "a: &a [*a]", 400],
    [
      "protobuf that is none",
      { "content-type": "application/vnd.kubernetes.protobuf" },
      Buffer.from("k8s\0\x0a\xff\xff\xff\xff\x0f", "latin1"),
      400,
    ],
    ["a type that is not served", { "content-type": "text/html" }, "<html>", 415],
    ["more than the limit", json, `"${"x".repeat(4_000_000)}"`, 413],
  ])("of %s are refused with a Status", async (_, headers, body, code) => {
    const reply = await target
      .admin(`${configMaps}?fieldValidation=Strict`, { method: "POST", headers: headers ?? {}, body })
      .catch(cutOff);
    // The answer may come before the body is sent, and the connection may end with it.
    if (reply) expect(statusOf(reply).code).toBe(code);
    else expect(code).toBe(413);
  });

  const cutOff = (error: NodeJS.ErrnoException): undefined => {
    expect(["EPIPE", "ECONNRESET"]).toContain(error.code);
    return undefined;
  };

  test("of requests to delete are refused alike", async () => {
    const remove = (headers: Sent["headers"], body: string): Promise<Reply> =>
      target.admin(`${configMaps}/none`, { method: "DELETE", headers: { ...headers, "content-length": body.length }, body });
    for (const body of ["{", "[]", '"x"', nested("[", "]", 100_000)]) expect(statusOf(await remove(json, body)).code).toBe(400);
    for (const body of ["a: [", "a: &a [*a]", "[".repeat(100_000)]) expect(statusOf(await remove(yaml, body)).code).toBe(400);
  });

  test("that arrive byte by byte hold nobody up", async () => {
    const head = `POST ${configMaps} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tenant}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`;
    const sockets = await several(100, () => openTls(target.url));
    for (const socket of sockets) socket.write(head);
    await target.answersOthers();
    for (const socket of sockets) socket.destroy();
  });
});

describe("patches", () => {
  let url = "";
  beforeAll(async () => {
    await target.created(configMaps, { metadata: { name: "patched" }, data: { a: "b" } });
    url = `${configMaps}/patched`;
  });
  const patch = (type: string, body: unknown): Promise<Reply> =>
    target.admin(url, {
      method: "PATCH",
      headers: { "content-type": `application/${type}` },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  test.each<[string, string, unknown, number]>([
    ["ten thousand and one operations", "json-patch+json", Array(10_001).fill({ op: "test", path: "" }), 413],
    [
      "copies that double",
      "json-patch+json",
      Array.from({ length: 60 }, (_, i) => ({ op: "copy", from: "/metadata", path: `/metadata/k${i}` })),
      422,
    ],
    ["paths of a megabyte", "json-patch+json", [{ op: "add", path: "/a".repeat(500_000), value: 1 }], 422],
    [
      "objects built deeper and deeper",
      "json-patch+json",
      Array.from({ length: 700 }, (_, i) => ({ op: "add", path: `/metadata${"/a".repeat(i + 1)}`, value: {} })),
      422,
    ],
    ["a deep merge", "merge-patch+json", `${'{"a":'.repeat(300_000)}1${"}".repeat(300_000)}`, 400],
    ["a deep strategic merge", "strategic-merge-patch+json", `${'{"a":'.repeat(300_000)}1${"}".repeat(300_000)}`, 400],
    ["a directive that is none", "strategic-merge-patch+json", { metadata: { $patch: "x".repeat(1000) } }, 500],
    ["a deep apply", "apply-patch+yaml?", "[".repeat(100_000), 400],
  ])("of %s are refused with a Status", async (_, type, body, code) => {
    const [media = "", query] = type.split("?");
    if (query !== undefined) url += "?fieldManager=x";
    expect(statusOf(await patch(media, body)).code).toBe(code);
  });

  test("that merge long lists take no longer than reading them", async () => {
    const env = (from: number) => Array.from({ length: 15_000 }, (_, i) => ({ name: `E${from + i}`, value: "x" }));
    const containers = [{ name: "c", image: "i", env: env(0) }];
    await target.created("/api/v1/namespaces/default/podtemplates", { metadata: { name: "long" }, template: { spec: { containers } } });
    const body = JSON.stringify({ template: { spec: { containers: [{ name: "c", env: env(7500) }] } } });
    const headers = { "content-type": "application/strategic-merge-patch+json" };
    const reply = await target.admin("/api/v1/namespaces/default/podtemplates/long", { method: "PATCH", headers, body, timeoutMs: 10_000 });
    const merged = JSON.parse(reply.text) as { template: { spec: { containers: { env: unknown[] }[] } } };
    expect(merged.template.spec.containers[0]?.env).toHaveLength(22_500);
  });
});

describe("requests", () => {
  const restricted = (path: string): Promise<Reply> => send(target.url + path, { token: tenant });
  test.each([
    "/api/v1/namespaces/default/../kube-system/secrets",
    "/api/v1/namespaces/default/configmaps/../secrets",
    "/api/v1/namespaces/default/configmaps/..%2fsecrets",
    "/api/v1/namespaces/default%2f..%2fkube-system/secrets",
    "/api/v1/namespaces/default/configmaps/%2e%2e",
    "/api/v1/namespaces/default//secrets",
    "//api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/%2e%2e/secrets",
    "/api//v1/secrets",
    "/api/v1/namespaces/default/configmaps%00/x",
    "/api/v1/namespaces/default/configmaps/%00",
    "/api/v1/namespaces/default/configmaps/%",
    "/api/v1/namespaces/default/configmaps/%ff",
    "/api/v1/namespaces/default/configmaps/a%2fb",
    "/api/v1/watch/namespaces/default/secrets",
    "/api/v1/proxy/namespaces/default/secrets/x",
  ])("of %s lead nowhere", async (path) => {
    expect([400, 403, 404]).toContain(statusOf(await restricted(path)).code);
  });

  test("of twenty thousand steps lead nowhere", async () => {
    expect(statusOf(await restricted(`${configMaps}/${"a/".repeat(20_000)}`)).code).toBe(403);
  });

  test.each<[string, string]>([
    ["two lengths", "Content-Length: 5\r\nContent-Length: 6"],
    ["a length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked"],
    ["chunks with a space", "Transfer-Encoding : chunked"],
    ["chunks that are not last", "Transfer-Encoding: chunked, identity"],
    ["a length that is no number", "Content-Length: 0x5"],
    ["a negative length", "Content-Length: -1"],
    ["a folded header", "X-Folded: a\r\n b\r\nContent-Length: +5"],
    ["a NUL in a header", "X-Nul: a\0b"],
  ])("with %s end the connection, and nothing hidden in them is served", async (_, headers) => {
    const hidden = `GET /version HTTP/1.1\r\nHost: x\r\n\r\n`;
    const text = await sendRaw(
      target.url,
      `POST ${configMaps} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${target.token}\r\nContent-Type: application/json\r\n${headers}\r\n\r\n0\r\n\r\n${hidden}`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(text).not.toContain("gitVersion");
  });

  test("with a head beyond the limit are refused", async () => {
    const text = await sendRaw(target.url, `GET /api HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(1_100_000)}\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("that are no HTTP, or no TLS, end the connection", async () => {
    expect(await sendRaw(target.url, "\x16\x03\x01\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    const socket = await openTcp(target.url);
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write("GET /api HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.resume();
    await closed;
  });

  test("with thousands of terms in their selectors are answered", async () => {
    const terms = (one: (i: number) => string): string => encodeURIComponent(Array.from({ length: 4000 }, (_, i) => one(i)).join(","));
    expect((await target.admin(`${configMaps}?fieldSelector=${terms((i) => `metadata.name!=n${i}`)}`)).status).toBe(200);
    expect((await target.admin(`${configMaps}?labelSelector=${terms((i) => `k${i}!=v`)}`)).status).toBe(200);
    expect((await target.admin(`${configMaps}?labelSelector=${encodeURIComponent("a in (")}${terms((i) => `v${i}`)})`)).status).toBe(200);
    expect(statusOf(await target.admin(`${configMaps}?labelSelector=${terms((i) => `-k${i}!=v`)}`)).code).toBe(400);
    expect(statusOf(await target.admin(`${configMaps}?fieldSelector=${terms((i) => `x${i}=y`)}`)).code).toBe(400);
    expect(statusOf(await target.admin(`${configMaps}?continue=${"A".repeat(100_000)}`)).code).toBe(400);
  });
});

describe("credentials", () => {
  const claims = (token: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const refusedWith = async (token: string): Promise<void> => {
    expect(statusOf(await send(target.url + configMaps, { token }))).toMatchObject({ code: 401, reason: "Unauthorized" });
  };

  test("that have expired, or were changed, are refused", async () => {
    expect((await send(target.url + configMaps, { token: tenant })).status).toBe(200);
    const [head = "", body = "", signature = ""] = tenant.split(".");
    await refusedWith(`${head}.${part({ ...claims(tenant), sub: "system:serviceaccount:kube-system:admin" })}.${signature}`);
    await refusedWith(`${part({ alg: "none" })}.${body}.`);
    await refusedWith(
      `${part({ ...(JSON.parse(Buffer.from(head, "base64url").toString()) as object), alg: "HS256" })}.${body}.${signature}`,
    );
    await refusedWith(`${head}.${body}.${Buffer.alloc(64).toString("base64url")}`);
    await refusedWith(`${head}.${"A".repeat(100_000)}.${signature}`);
    const key = createPrivateKey(await readFile(join(target.dataDir, "pki", "sa.key")));
    const signed = (changes: object): string => {
      const text = `${head}.${part({ ...claims(tenant), ...changes })}`;
      return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
    };
    expect((await send(target.url + configMaps, { token: signed({}) })).status).toBe(200);
    const seconds = Math.floor(Date.now() / 1000);
    await refusedWith(signed({ iat: seconds - 7200, nbf: seconds - 7200, exp: seconds - 3600 }));
    await refusedWith(signed({ nbf: seconds + 3600, exp: seconds + 7200 }));
    await refusedWith(signed({ aud: ["https://elsewhere"] }));
  });

  test("of accounts that are gone are refused when replayed, also after an account of the same name has come", async () => {
    await target.created("/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "gone" } });
    const token = await tokenOf("gone");
    expect((await send(target.url + configMaps, { token })).status).toBe(403);
    expect((await target.admin("/api/v1/namespaces/default/serviceaccounts/gone", { method: "DELETE" })).status).toBe(200);
    await until("the token counts no more", async () => (await send(target.url + configMaps, { token })).status === 401);
    await target.created("/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "gone" } });
    await refusedWith(token);
  });

  test("that another authority has signed are refused", async () => {
    const { privateKey, publicKey } = generateKey();
    const now = Date.now();
    const issue = (authority: boolean): Certificate =>
      issueCertificate(
        {
          subject: { commonName: authority ? "kubernetes-ca" : "admin", organizations: authority ? [] : ["system:masters"] },
          names: {},
          publicKey,
          notBeforeMs: now - 60_000,
          notAfterMs: now + 3_600_000,
          keyUsages: authority ? ["certSign"] : ["digitalSignature"],
          extendedKeyUsages: authority ? [] : ["clientAuth"],
          isAuthority: authority,
        },
        authority ? { key: privateKey } : { key: privateKey, certificate: issue(true) },
      );
    const cert = certificatePem(issue(false));
    expect(statusOf(await send(target.url + configMaps, { cert, key: privateKeyPem(privateKey) })).code).toBe(401);
  });

  test("of the front proxy are no header's to claim", async () => {
    const headers = { "x-remote-user": "admin", "x-remote-group": "system:masters" };
    expect(statusOf(await send(target.url + configMaps, { headers })).code).toBe(403);
    expect(
      statusOf(
        await send(target.url + configMaps, {
          headers: { "impersonate-user": "admin", "impersonate-group": "system:masters" },
          token: tenant,
        }),
      ).code,
    ).toBe(403);
  });
});

describe("definitions of custom resources", () => {
  const definition = (plural: string, properties: unknown) => ({
    metadata: { name: `${plural}.hostile.example.com` },
    spec: {
      group: "hostile.example.com",
      scope: "Namespaced",
      names: { plural, kind: plural.charAt(0).toUpperCase() + plural.slice(1) },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", properties } } }],
    },
  });
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

  test("have patterns that no text can make run away", async () => {
    await target.created(definitions, definition("patterns", { text: { type: "string", pattern: "^(([a-z])+.)+[A-Z]([a-z])+$" } }));
    const body = JSON.stringify({
      apiVersion: "hostile.example.com/v1",
      kind: "Patterns",
      metadata: { name: "a" },
      text: "a".repeat(20_000),
    });
    const path = "/apis/hostile.example.com/v1/namespaces/default/patterns";
    const reply = await until("the kind is served", async () => {
      const answer = await target.admin(path, { method: "POST", headers: json, body });
      return answer.status !== 404 && answer;
    });
    expect(statusOf(reply).code).toBe(422);
    expect(
      statusOf(await target.post(definitions, definition("large", { text: { type: "string", pattern: "(a{1000}){1000}" } }))).code,
    ).toBe(422);
  });

  test("have rules whose cost is bounded before they are taken", async () => {
    const list = { type: "array", items: { type: "integer" } };
    const rule = "self.all(a, self.all(b, self.all(c, self.all(d, a + b + c + d > 0))))";
    const { code, message } = statusOf(
      await target.post(definitions, definition("rules", { list: { ...list, "x-kubernetes-validations": [{ rule }] } })),
    );
    expect(code).toBe(422);
    expect(message).toContain("estimated rule cost exceeds budget");
    const endless = [
      `${"(".repeat(2000)}true${")".repeat(2000)}`,
      Array(20_000).fill("true").join(" && "),
      "[".repeat(10_000),
      `${"true ? ".repeat(2000)}true${" : true".repeat(2000)}`,
      `self${".map(x, x)".repeat(2000)}.size() == 0`,
    ];
    for (const [i, rule] of endless.entries()) {
      const refused = await target.post(
        definitions,
        definition(`endless${i}`, { list: { ...list, "x-kubernetes-validations": [{ rule }] } }),
      );
      expect(statusOf(refused).code).toBe(422);
    }
  });

  test("without versions are refused", async () => {
    for (const versions of [null, [], {}]) {
      const { spec, ...rest } = definition("none", {});
      expect([400, 422]).toContain(statusOf(await target.post(definitions, { ...rest, spec: { ...spec, versions } })).code);
    }
  });

  test("nest no deeper than can be followed", async () => {
    let schema: object = { type: "string" };
    for (let i = 0; i < 400; i++) schema = { type: "object", properties: { a: schema } };
    expect(statusOf(await target.post(definitions, definition("deep", { a: schema }))).code).toBe(400);
  });
});

test("paths of strangers are not remembered, as long as they may be", async () => {
  for (let i = 0; i < 400; i += 10)
    await several(10, (j) => send(`${target.url}/api/v1/namespaces/default/pods/p/${i + j}${"x".repeat(900_000)}`));
}, 120_000);

describe("lists that multiply", () => {
  const listed = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

  test("of a role are not taken apart", async () => {
    const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    await target.created("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
      metadata: { name: "tenant-admin" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "admin" },
      subjects: [{ kind: "ServiceAccount", name: "tenant", namespace: "default" }],
    });
    const rules = [{ apiGroups: listed("g", 500), resources: listed("r", 500), verbs: listed("v", 500) }];
    const headers = { ...json, authorization: `Bearer ${tenant}` };
    const reply = await send(`${target.url}${roles}`, {
      method: "POST",
      headers,
      body: JSON.stringify({ metadata: { name: "a" }, rules }),
    });
    expect(statusOf(reply)).toMatchObject({ code: 403, message: expect.stringContaining("more than 20000 permissions") });
  });

  test("of a pod are not compared each with each", async () => {
    const ports = Array(50_000).fill({ containerPort: 80 });
    const items = Array(30_000).fill({ key: "k", path: "a" });
    const pod = (spec: object): string => JSON.stringify({ metadata: { name: "a" }, spec: { serviceAccountName: "tenant", ...spec } });
    const create = (spec: object): Promise<Reply> =>
      target.admin("/api/v1/namespaces/default/pods?dryRun=All", { method: "POST", headers: json, body: pod(spec) });
    const web = { name: "c", image: "i" };
    expect((await create({ containers: [{ ...web, ports }] })).status).toBe(201);
    expect((await create({ containers: [web], volumes: [{ name: "v", configMap: { name: "m", items } }] })).status).toBe(201);
  }, 120_000);
});

test("none of this has cost memory that stays, or was a defect to the server", async () => {
  expect((await target.residentMiB()) - residentAtStart).toBeLessThan(500);
  expect(target.process.output()).not.toMatch(/Request failed|Answer broken off|Maximum call stack/);
  expect(target.process.process.exitCode).toBeNull();
});
