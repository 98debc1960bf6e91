import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bytesOfBase64, encodeBase64 } from "../../api/meta/base64.ts";
import { certificatesigningrequests } from "../../api/resources.generated.ts";
import type { CertificateSigningRequest } from "../../api/types/certificates-v1.ts";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { certificateFromPem, certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { parseSigningRequest } from "../../base/x509/signing-request.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { loadKubeconfig } from "../../client/kubeconfig.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { bootstrapClientCertificate } from "./bootstrap.ts";
import { CertificateManager, clientCertificateOptions, rotationTime, servingCertificateOptions } from "./certificate-manager.ts";
import { CertificateStore, parsePair, UnusableCertificateError } from "./certificate-store.ts";
import { selfSignedServing } from "./serving-certificate.ts";
import { CertificateRefusedError, requestCertificate, requestName } from "./signing-request.ts";

interface Directory extends AsyncDisposable {
  readonly path: string;
}

async function directory(): Promise<Directory> {
  const path = await mkdtemp(join(tmpdir(), "coracle-certificates-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const authority = generateKey();

/** What a signer would answer. */
function issued(request: CertificateSigningRequest, nowMs: number, lifetimeMs: number): string {
  const { subject, names, publicKeyInfo } = parseSigningRequest(new TextDecoder().decode(bytesOfBase64(request.spec.request)));
  const validity = { notBeforeMs: nowMs, notAfterMs: nowMs + lifetimeMs };
  const certificate = issueCertificate(
    { subject, names, publicKey: publicKeyInfo, ...validity, keyUsages: ["digitalSignature"] },
    { key: authority.privateKey },
  );
  return certificatePem(certificate);
}

async function signAll(client: Client, nowMs: number, lifetimeMs: number): Promise<number> {
  const open = (await client.list(certificatesigningrequests)).items.filter((r) => !r.status?.certificate && !r.status?.conditions);
  for (const request of open) {
    const status = { certificate: encodeBase64(issued(request, nowMs, lifetimeMs)) };
    await client.updateStatus(certificatesigningrequests, { ...request, status });
  }
  return open.length;
}

function pairOf(notAfterMs = Date.UTC(2030, 0, 1)) {
  const { publicKey, privateKey } = generateKey();
  const subject = { commonName: "system:node:n1", organizations: ["system:nodes"] };
  const certificate = issueCertificate(
    { subject, publicKey, notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs, keyUsages: ["digitalSignature"] },
    { key: authority.privateKey },
  );
  return { certPem: certificatePem(certificate), keyPem: privateKeyPem(privateKey) };
}

describe("CertificateStore", () => {
  it("keeps pairs in dated files that only their owner reads, the newest behind a link", async () => {
    await using at = await directory();
    const clock = new VirtualClock(Date.UTC(2026, 10, 29, 11, 30, 12));
    const store = new CertificateStore(join(at.path, "pki"), "kubelet-client", clock);
    expect(await store.current()).toBeUndefined();
    const [first, second] = [pairOf(), pairOf()];
    await store.update(first.certPem, first.keyPem);
    expect(await readlink(store.currentPath)).toBe("kubelet-client-2026-11-29-11-30-12.pem");
    expect((await stat(store.currentPath)).mode & 0o777).toBe(0o600);
    expect((await lstat(store.currentPath)).isSymbolicLink()).toBe(true);
    await store.update(second.certPem, second.keyPem);
    expect(await readlink(store.currentPath)).toBe("kubelet-client-2026-11-29-11-30-13.pem");
    expect((await store.current())?.certPem).toBe(second.certPem);
  });

  it("removes all but a few of the earlier files", async () => {
    await using at = await directory();
    const store = new CertificateStore(at.path, "kubelet-client", new VirtualClock());
    const pair = pairOf();
    for (let i = 0; i < 7; i++) await store.update(pair.certPem, pair.keyPem);
    expect((await readdir(at.path)).filter((name) => /-\d\d\.pem$/.test(name))).toHaveLength(4);
    expect((await store.current())?.keyPem).toBe(pair.keyPem);
  });

  it("takes no pair that does not belong together, and reads none", async () => {
    await using at = await directory();
    const store = new CertificateStore(at.path, "kubelet-client", new VirtualClock());
    await expect(store.update(pairOf().certPem, pairOf().keyPem)).rejects.toThrow(UnusableCertificateError);
    await writeFile(store.currentPath, "nonsense");
    expect(await store.current()).toBeUndefined();
    expect(() => parsePair(pairOf().certPem)).toThrow("expected a certificate and its key");
  });
});

describe("requestCertificate()", () => {
  const keys = generateKey();
  const wanted = { ...clientCertificateOptions("n1"), keys };
  const { signal } = new AbortController();

  it("waits until the request is signed", async () => {
    const clock = new VirtualClock();
    const client = createClient(createFakeApi(clock));
    const asking = requestCertificate({ client, clock }, wanted, { signal });
    await clock.advance(1_000);
    const [request] = (await client.list(certificatesigningrequests)).items;
    expect(request?.spec).toMatchObject({
      signerName: "kubernetes.io/kube-apiserver-client-kubelet",
      usages: ["digital signature", "client auth"],
    });
    await signAll(client, clock.now(), 60_000);
    await clock.advance(10_000);
    expect(certificateFromPem(await asking).subject).toEqual({ commonName: "system:node:n1", organizations: ["system:nodes"] });
  });

  it("says why it is turned down, and that nobody has dealt with it", async () => {
    const clock = new VirtualClock();
    const client = createClient(createFakeApi(clock));
    const asking = requestCertificate({ client, clock }, { ...wanted, name: "r" }, { signal });
    const denied = expect(asking).rejects.toThrow("certificate signing request r was denied: No: not you");
    await clock.advance(500);
    const request = await client.get(certificatesigningrequests, { name: "r" });
    const conditions = [{ type: "Denied", status: "True", reason: "No", message: "not you" }];
    await client.updateStatus(certificatesigningrequests, { ...request, status: { conditions } });
    await clock.advance(10_000);
    await denied;
    const forgotten = expect(requestCertificate({ client, clock }, wanted, { signal, timeoutMs: 60_000 })).rejects.toThrow(
      CertificateRefusedError,
    );
    await clock.advance(120_000);
    await forgotten;
  });

  it("waits for an earlier request of the same name", async () => {
    const clock = new VirtualClock();
    const client = createClient(createFakeApi(clock));
    const name = requestName(wanted);
    expect(name).toBe(requestName(wanted));
    expect(name).toMatch(/^node-csr-[A-Za-z0-9_-]{43}$/);
    const both = [1, 2].map(() => requestCertificate({ client, clock }, { ...wanted, name }, { signal }));
    await clock.advance(500);
    expect(await signAll(client, clock.now(), 60_000)).toBe(1);
    await clock.advance(10_000);
    const [first, second] = await Promise.all(both);
    expect(first).toBe(second);
  });
});

describe("CertificateManager", () => {
  const hour = 3_600_000;

  it("replaces a certificate between 70 and 90 percent of its life", () => {
    const life = { notBeforeMs: 1000, notAfterMs: 11_000 };
    expect([rotationTime(life, 0), rotationTime(life, 0.5), rotationTime(life, 1)]).toEqual([8000, 9000, 10_000]);
  });

  /** Files are written in real time, however still the clock stands. */
  async function pass(clock: VirtualClock, condition: () => boolean, limitMs: number, work: () => Promise<unknown>): Promise<void> {
    const endMs = clock.now() + limitMs;
    while (!condition()) {
      if (clock.now() > endMs) throw new Error(`not within ${limitMs} ms`);
      await work();
      await realClock.sleep(1);
      await clock.advance(Math.max(100, limitMs / 500));
    }
  }

  it("asks at once where there is none, and again in time; a failure is tried again", async () => {
    await using at = await directory();
    const clock = new VirtualClock();
    const api = createFakeApi(clock);
    const client = createClient(api);
    const store = new CertificateStore(at.path, "kubelet-client", clock);
    const got: number[] = [];
    const manager = new CertificateManager(
      { client, clock, logger: silentLogger, store },
      { ...clientCertificateOptions("n1"), onChange: () => got.push(clock.now()) },
    );
    await manager.start();
    const sign = (): Promise<number> => signAll(client, clock.now(), 10 * hour);
    await pass(clock, () => got.length === 1, hour, sign);
    const first = manager.current?.certificate.notBeforeMs ?? 0;
    const asked: number[] = [];
    api.intercept = ({ method }) => {
      if (method === "POST" && asked.push(clock.now()) <= 2) throw new Error("away");
    };
    await pass(clock, () => got.length === 2, 11 * hour, sign);
    // The time of the first try: files are written while this clock runs on.
    const [retried = 0] = asked;
    expect(asked.length).toBe(3);
    expect(retried - first).toBeGreaterThanOrEqual(7 * hour);
    expect(retried - first).toBeLessThan(9.1 * hour);
    expect((await store.current())?.certPem).toBe(manager.current?.certPem);
    await manager.stop();
  });

  it("starts with what is on disk, and asks for another when the node has got another address", async () => {
    await using at = await directory();
    const clock = new VirtualClock();
    const client = createClient(createFakeApi(clock));
    const store = new CertificateStore(at.path, "kubelet-server", clock);
    let ipAddresses = ["192.0.2.1"];
    const changes: string[][] = [];
    const options = {
      ...servingCertificateOptions("n1"),
      names: () => ({ dnsNames: ["n1"], ipAddresses }),
      onChange: ({ certificate }: { certificate: { names: { ipAddresses: readonly string[] } } }) =>
        void changes.push([...certificate.names.ipAddresses]),
    };
    const first = new CertificateManager({ client, clock, logger: silentLogger, store }, options);
    await first.start();
    const sign = (): Promise<number> => signAll(client, clock.now(), 1000 * hour);
    await pass(clock, () => changes.length === 1, hour, sign);
    await first.stop();
    const again = new CertificateManager({ client, clock, logger: silentLogger, store }, options);
    await again.start();
    expect(again.current?.certificate.names.dnsNames).toEqual(["n1"]);
    await clock.advance(hour);
    expect(changes).toHaveLength(1);
    ipAddresses = ["192.0.2.1", "192.0.2.2"];
    await pass(clock, () => changes.length === 2, hour, sign);
    expect(changes[1]).toEqual(["192.0.2.1", "192.0.2.2"]);
    await again.stop();
  });
});

describe("bootstrapClientCertificate()", () => {
  /** An API server over plain HTTP that signs every request when it is asked for it again. */
  async function signer() {
    const requests: CertificateSigningRequest[] = [];
    const tokens: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      tokens.push(request.headers.authorization);
      let text = "";
      request.on("data", (chunk) => (text += chunk));
      request.on("end", () => {
        if (request.method === "POST") requests.push(JSON.parse(text) as CertificateSigningRequest);
        const [latest] = requests.slice(-1);
        const signed =
          request.method === "GET" && latest ? { status: { certificate: encodeBase64(issued(latest, realClock.now(), 3_600_000)) } } : {};
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ ...latest, ...signed }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { url, requests, tokens, stop: () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections()) };
  }

  it("gets a certificate with the token, writes the kubeconfig, and does nothing the next time", async () => {
    await using at = await directory();
    const api = await signer();
    try {
      const kubeconfig = join(at.path, "kubelet.conf");
      const certDirectory = join(at.path, "pki");
      const { signal } = new AbortController();
      const bootstrap = {
        context: "b",
        namespace: "default",
        server: api.url,
        credentials: { kind: "token", token: "abcdef.0123456789abcdef" },
      } as const;
      const options = { nodeName: "n1", kubeconfig, bootstrap, certDirectory, signal };
      const deps = { clock: realClock, logger: silentLogger };
      expect(await bootstrapClientCertificate(deps, options)).toBe(true);
      expect(api.tokens[0]).toBe("Bearer abcdef.0123456789abcdef");
      const current = join(certDirectory, "kubelet-client-current.pem");
      expect((await loadKubeconfig({ path: kubeconfig })).credentials).toEqual({
        kind: "certificateFiles",
        certFile: current,
        keyFile: current,
      });
      expect((await stat(kubeconfig)).mode & 0o777).toBe(0o600);
      expect(await readFile(kubeconfig, "utf8")).not.toContain("0123456789abcdef");
      expect((await readdir(certDirectory)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      expect(parsePair(await readFile(current, "utf8")).certificate.subject.commonName).toBe("system:node:n1");
      expect(await bootstrapClientCertificate(deps, options)).toBe(false);
      expect(api.requests).toHaveLength(1);
    } finally {
      await api.stop();
    }
  });
});

describe("selfSignedServing()", () => {
  it("makes a certificate for the node's names once, and another when it lacks one or has expired", async () => {
    await using at = await directory();
    const clock = new VirtualClock();
    const first = await selfSignedServing(at.path, ["n1", "192.0.2.1"], clock);
    expect(certificateFromPem(first.cert).names).toMatchObject({ dnsNames: ["n1"], ipAddresses: ["192.0.2.1"] });
    expect((await stat(join(at.path, "kubelet.key"))).mode & 0o777).toBe(0o600);
    expect(await selfSignedServing(at.path, ["n1"], clock)).toEqual(first);
    const more = await selfSignedServing(at.path, ["n1", "192.0.2.2"], clock);
    expect(more.cert).not.toBe(first.cert);
    await clock.advance(366 * 24 * 3_600_000);
    expect((await selfSignedServing(at.path, ["n1"], clock)).cert).not.toBe(more.cert);
  });
});
