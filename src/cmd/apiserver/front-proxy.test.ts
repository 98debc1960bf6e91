import { writeFile } from "node:fs/promises";
import https from "node:https";
import { type ConnectionOptions, connect } from "node:tls";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { configmaps } from "../../api/resources.generated.ts";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { realClock } from "../../base/clock.ts";
import { certificatePem, generateKey, issueCertificate, type KeyedCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { ApiServerFixture } from "./apiserver-fixture.ts";
import type { RunningApiServer } from "./start-apiserver.ts";

let fixture: ApiServerFixture;
beforeEach(async () => {
  fixture = await ApiServerFixture.create();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const start = (...args: string[]): Promise<RunningApiServer> => fixture.start(...args);
const problem = (...args: string[]): Promise<string> => fixture.problem(...args);
const file = (name: string, text: string): Promise<string> => fixture.file(name, text);

interface Pem {
  readonly cert: string;
  readonly key: string;
  readonly keyed: KeyedCertificate;
}

function issue(commonName: string, issuer?: Pem, usage: "clientAuth" | "serverAuth" = "clientAuth", isAuthority = !issuer): Pem {
  const { privateKey, publicKey } = generateKey();
  const nowMs = realClock.now();
  const certificate = issueCertificate(
    {
      subject: { commonName, organizations: commonName === "admin" ? ["system:masters"] : [] },
      names: { dnsNames: [commonName], ipAddresses: ["127.0.0.1"] },
      publicKey,
      notBeforeMs: nowMs - 60_000,
      notAfterMs: nowMs + 3600_000,
      keyUsages: isAuthority ? ["certSign"] : ["digitalSignature"],
      extendedKeyUsages: isAuthority ? [] : [usage],
      isAuthority,
    },
    issuer?.keyed ?? { key: privateKey },
  );
  return { cert: certificatePem(certificate), key: privateKeyPem(privateKey), keyed: { certificate, key: privateKey } };
}

interface WhoAmI {
  readonly status: number;
  readonly user: { readonly username?: string; readonly uid?: string; readonly groups?: readonly string[]; readonly extra?: object };
}

/** What the server says about who asks with this certificate and these headers. */
function whoAmI(
  server: RunningApiServer,
  client: { cert?: string; key?: string },
  headers: Record<string, string | string[]> = {},
  agent: https.Agent | false = false,
): Promise<WhoAmI> {
  return new Promise((resolve, reject) => {
    const { cert, key } = client;
    const options = { method: "POST", ca: server.caPem, agent, ...(cert && key ? { cert, key } : {}) };
    const path = `${server.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`;
    const request = https.request(path, { ...options, headers: { "content-type": "application/json", ...headers } }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, user: JSON.parse(text).status?.userInfo ?? {} }));
    });
    request.on("error", reject);
    request.end(JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }));
  });
}

const asAlice = {
  "x-remote-user": "alice",
  "x-remote-uid": "7",
  "x-remote-group": ["devs", "ops"],
  "x-remote-extra-acme.com%2fproject": ["x", "y"],
};

describe("the front proxy", () => {
  it("says in headers who asks, with the certificate of the cluster's own front proxy", async () => {
    const server = await start();
    const { certificate: cert, key } = server.pki.frontProxyClient;
    expect(await whoAmI(server, { cert, key }, asAlice)).toEqual({
      status: 201,
      user: {
        username: "alice",
        uid: "7",
        groups: ["devs", "ops", "system:authenticated"],
        extra: { "acme.com/project": ["x", "y"] },
      },
    });
  });

  it("is not itself a user: without headers its certificate says nothing", async () => {
    const server = await start();
    const { certificate: cert, key } = server.pki.frontProxyClient;
    expect((await whoAmI(server, { cert, key })).status).toBe(401);
    const other = issue("admin", { keyed: server.pki.frontProxyCa, cert: "", key: "" });
    expect((await whoAmI(server, other)).status).toBe(401);
  });

  it("is nobody else: headers of clients with other certificates, or none, mean nothing", async () => {
    const server = await start();
    const { certificate: cert, key } = server.pki.admin;
    expect((await whoAmI(server, { cert, key }, asAlice)).user.username).toBe("kubernetes-admin");
    expect((await whoAmI(server, {}, asAlice)).status).toBe(403);
  });

  it("and other certificates of nobody we know leave it to a token who asks", async () => {
    const server = await start(`--token-auth-file=${await file("tokens.csv", "secret,jane,7\n")}`);
    const stranger = issue("admin", issue("unknown"));
    expect((await whoAmI(server, stranger)).status).toBe(401);
    expect((await whoAmI(server, stranger, { authorization: "Bearer secret" })).user.username).toBe("jane");
  });

  it("may be another one by flags, whose certificates may have an intermediate authority", async () => {
    const authority = issue("proxies");
    const middle = issue("middle", authority, "clientAuth", true);
    const ca = await file("proxy-ca.crt", authority.cert);
    const server = await start(
      `--requestheader-client-ca-file=${ca}`,
      "--requestheader-allowed-names=gate",
      "--requestheader-username-headers=X-Who,X-Remote-User",
      "--requestheader-group-headers=X-Remote-Group",
    );
    const gate = issue("gate", middle);
    const agent = new https.Agent({ keepAlive: false, maxCachedSessions: 10 });
    const presented = { cert: `${gate.cert}${middle.cert}`, key: gate.key };
    for (let connection = 0; connection < 3; connection++) {
      const { user } = await whoAmI(server, presented, { "x-who": "bob", "x-remote-uid": "7", "x-remote-group": "devs" }, agent);
      expect(user).toEqual({ username: "bob", groups: ["devs", "system:authenticated"] });
    }
    expect((await whoAmI(server, issue("other", authority), { "x-who": "bob" })).status).toBe(401);
    const { certificate: cert, key } = server.pki.frontProxyClient;
    expect((await whoAmI(server, { cert, key }, asAlice)).status).toBe(401);
  });

  it("is told to aggregated API servers in a config map, which keeps what others have put there", async () => {
    const server = await start();
    const client = server.clientFor(loopbackUser);
    const target = { namespace: "kube-system", name: "extension-apiserver-authentication" };
    const found = await client.get(configmaps, target);
    expect(found.data).toEqual({
      "client-ca-file": server.caPem,
      "requestheader-allowed-names": '["front-proxy-client"]',
      "requestheader-client-ca-file": server.pki.frontProxyCa.pem.certificate,
      "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
      "requestheader-group-headers": '["X-Remote-Group"]',
      "requestheader-uid-headers": '["X-Remote-Uid"]',
      "requestheader-username-headers": '["X-Remote-User"]',
    });
    const other = issue("other-ca").cert;
    await client.update(configmaps, { ...found, data: { "client-ca-file": other, "requestheader-allowed-names": '["else"]' } });
    await vi.waitFor(async () => {
      const { data } = await client.get(configmaps, target);
      expect(data).toMatchObject({
        "client-ca-file": `${other}${server.caPem}`,
        "requestheader-allowed-names": '["else","front-proxy-client"]',
      });
    }, 60_000);
    await client.delete(configmaps, target);
    await vi.waitFor(async () => expect((await client.get(configmaps, target)).data).toEqual(found.data), 60_000);
  });
});

describe("files of certificates", () => {
  const subjectOf = (server: RunningApiServer, options: ConnectionOptions = {}): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false, ...options }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on("error", reject);
    });

  it("are followed: serving certificate, certificates for other names, client authority", async () => {
    const clients = [issue("clients-1"), issue("clients-2")] as const;
    const serving = issue("serving-1", issue("ca"), "serverAuth");
    const named = issue("api.example.com", issue("ca"), "serverAuth");
    const cert = await file("tls.crt", serving.cert);
    const key = await file("tls.key", serving.key);
    const sni = [await file("sni.crt", named.cert), await file("sni.key", named.key)] as const;
    const clientCa = await file("client-ca.crt", clients[0].cert);
    const server = await start(
      `--tls-cert-file=${cert}`,
      `--tls-private-key-file=${key}`,
      `--tls-sni-cert-key=${sni.join()}`,
      `--tls-sni-cert-key=${cert},${key}:*.wild.example.com`,
      `--client-ca-file=${clientCa}`,
    );
    expect(await subjectOf(server)).toBe("serving-1");
    expect(await subjectOf(server, { servername: "api.example.com" })).toBe("api.example.com");
    expect(await subjectOf(server, { servername: "x.wild.example.com" })).toBe("serving-1");
    // For parts of the cluster itself.
    expect(await subjectOf(server, { servername: "kubernetes" })).toBe("kube-apiserver");

    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    const kept = issue("admin", clients[0]);
    expect((await whoAmI(server, kept, {}, agent)).user.username).toBe("admin");
    const [next, nextNamed] = [issue("serving-2", issue("ca"), "serverAuth"), issue("API.example.com", issue("ca"), "serverAuth")];
    await Promise.all([writeFile(cert, next.cert), writeFile(key, next.key), writeFile(clientCa, clients[1].cert)]);
    await Promise.all([writeFile(sni[0], nextNamed.cert), writeFile(sni[1], nextNamed.key)]);
    const { data: before } = await server.clientFor(loopbackUser).get(configmaps, {
      namespace: "kube-system",
      name: "extension-apiserver-authentication",
    });
    await vi.waitFor(async () => {
      expect(await subjectOf(server)).toBe("serving-2");
      expect(await subjectOf(server, { servername: "api.example.com" })).toBe("API.example.com");
      const insecure = new https.Agent({ rejectUnauthorized: false });
      expect((await whoAmI(server, issue("admin", clients[1]), {}, insecure)).user.username).toBe("admin");
    }, 10_000);
    // The connection is the same one, and its certificate no longer counts.
    expect((await whoAmI(server, kept, {}, agent)).status).toBe(401);
    agent.destroy();
    await vi.waitFor(async () => {
      const target = { namespace: "kube-system", name: "extension-apiserver-authentication" };
      const { data } = await server.clientFor(loopbackUser).get(configmaps, target);
      expect(data?.["client-ca-file"]).toBe(`${before?.["client-ca-file"]}${clients[1].cert}`);
    }, 60_000);
  }, 20_000);

  it("can restrict TLS to new versions and to some cipher suites", async () => {
    const newest = await start("--tls-min-version=VersionTLS13");
    await expect(subjectOf(newest, { maxVersion: "TLSv1.2" })).rejects.toThrow();
    const chosen = await start("--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    const old = { maxVersion: "TLSv1.2" } as const;
    expect(await subjectOf(chosen, { ...old, ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" })).toBe("kube-apiserver");
    await expect(subjectOf(chosen, { ...old, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" })).rejects.toThrow();
  });

  it("that do not serve are named with their flag", async () => {
    const [one, two] = [issue("one", issue("ca")), issue("two", issue("ca"))];
    const cert = await file("one.crt", one.cert);
    const wrongKey = await file("two.key", two.key);
    const noPem = await file("no.pem", "nothing");
    const ca = await file("ca.crt", issue("ca").cert);
    expect(await problem(`--tls-cert-file=${cert}`, `--tls-private-key-file=${wrongKey}`)).toMatch(
      /^--tls-cert-file, --tls-private-key-file: .*mismatch/,
    );
    expect(await problem(`--tls-sni-cert-key=${cert},${wrongKey}:x`)).toMatch(/^--tls-sni-cert-key: .*mismatch/);
    expect(await problem(`--tls-sni-cert-key=${cert}`)).toMatch(/for --tls-sni-cert-key: expected "certfile,keyfile"/);
    expect(await problem(`--client-ca-file=${noPem}`)).toBe("--client-ca-file: data does not contain any valid RSA or ECDSA certificates");
    expect(await problem(`--requestheader-client-ca-file=${noPem}`)).toMatch(/^--requestheader-client-ca-file: data does not contain/);
    expect(await problem("--requestheader-client-ca-file=/none")).toMatch(/^--requestheader-client-ca-file: ENOENT/);
    expect(await problem("--requestheader-allowed-names=x")).toMatch(/^--requestheader-\* flags: expected --requestheader-client-ca-file/);
    expect(await problem("--requestheader-group-headers= ")).toMatch(/for --requestheader-group-headers: expected names/);
    expect(await problem(`--client-ca-file=${ca}`, `--requestheader-client-ca-file=${ca}`)).toMatch(/overlapping certificates/);
    expect(await problem(`--proxy-client-cert-file=${cert}`)).toMatch(
      /^--proxy-client-cert-file and --proxy-client-key-file: expected both/,
    );
    expect(await problem(`--proxy-client-cert-file=${cert}`, `--proxy-client-key-file=${wrongKey}`)).toMatch(
      /^--proxy-client-cert-file.*mismatch/,
    );
    expect(await problem("--tls-min-version=1.3")).toMatch(/for --tls-min-version: expected "VersionTLS10"/);
    expect(await problem("--tls-cipher-suites=AES")).toMatch(/for --tls-cipher-suites: expected some of TLS_AES_128/);
  });
});
