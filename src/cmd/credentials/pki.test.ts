import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { VirtualClock } from "../../base/clock.ts";
import { certificateFromPem } from "../../base/x509/certificate.ts";
import { kubeconfigText, writeKubeconfig } from "./kubeconfig.ts";
import { loadOrCreatePki, whyNotBelieved } from "./pki.ts";

const dayMs = 86_400_000;
let dataDir: string;
let clock: VirtualClock;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "pki-"));
  clock = new VirtualClock(Date.now());
});
afterEach(() => rm(dataDir, { recursive: true }));

const load = (serverNames: readonly string[] = []) => loadOrCreatePki({ dataDir, serverNames, serviceIp: "10.96.0.1", clock });

describe("loadOrCreatePki()", () => {
  it("makes upstream's files, readable by their owner alone", async () => {
    await load();
    const files = await readdir(join(dataDir, "pki"));
    expect(files).toEqual(
      expect.arrayContaining([
        "ca.crt",
        "ca.key",
        "apiserver.crt",
        "apiserver.key",
        "apiserver-kubelet-client.crt",
        "front-proxy-ca.crt",
        "sa.key",
        "sa.pub",
      ]),
    );
    expect(files.filter((f) => f.endsWith(".tmp"))).toEqual([]);
    for (const file of files) expect((await stat(join(dataDir, "pki", file))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, "pki"))).mode & 0o777).toBe(0o700);
  });

  it("gives the API server every name it answers to", async () => {
    const pki = await load(["10.1.1.1", "master.example.com"]);
    const { names } = certificateFromPem(pki.apiserver.certificate);
    expect(names.dnsNames).toEqual(
      expect.arrayContaining([
        "kubernetes",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "master.example.com",
      ]),
    );
    expect(names.ipAddresses).toEqual(expect.arrayContaining(["127.0.0.1", "10.96.0.1", "10.1.1.1"]));
    expect(new X509Certificate(pki.apiserver.certificate).verify(new X509Certificate(pki.ca.certificate.der).publicKey)).toBe(true);
  });

  it("gives components upstream's identities", async () => {
    const pki = await load();
    const subject = (pem: string) => certificateFromPem(pem).subject;
    expect(subject(pki.admin.certificate)).toEqual({ commonName: "kubernetes-admin", organizations: ["system:masters"] });
    expect(subject(pki.scheduler.certificate).commonName).toBe("system:kube-scheduler");
    expect(subject((await pki.kubeletClient("n1")).certificate)).toEqual({ commonName: "system:node:n1", organizations: ["system:nodes"] });
  });

  it("reads at the second start what the first one made", async () => {
    const first = await load();
    const second = await load();
    expect(second.apiserver).toEqual(first.apiserver);
    expect(second.ca.pem).toEqual(first.ca.pem);
    expect(second.serviceAccountKey.publicKey.equals(first.serviceAccountKey.publicKey)).toBe(true);
  });

  it("issues the serving certificate anew for a new name, and keeps the authority and the other certificates", async () => {
    const first = await load();
    const second = await load(["10.9.9.9"]);
    expect(second.apiserver.certificate).not.toBe(first.apiserver.certificate);
    expect(second.ca.pem).toEqual(first.ca.pem);
    expect(second.admin).toEqual(first.admin);
  });

  it("issues certificates anew before they expire", async () => {
    const first = await load();
    await clock.advance(200 * dayMs);
    expect((await load()).admin).toEqual(first.admin);
    await clock.advance(100 * dayMs);
    const renewed = await load();
    expect(renewed.admin).not.toEqual(first.admin);
    expect(renewed.ca.pem).toEqual(first.ca.pem);
  });

  it("issues certificates anew that the clock, once ahead, has put into the future", async () => {
    await load();
    const ahead = await loadOrCreatePki({
      dataDir,
      serverNames: [],
      serviceIp: "10.96.0.1",
      clock: new VirtualClock(clock.now() + 300 * dayMs),
    });
    const back = await load();
    expect(back.admin).not.toEqual(ahead.admin);
    expect(certificateFromPem(back.admin.certificate).notBeforeMs).toBeLessThanOrEqual(clock.now());
  });

  it("says where the clock and the authority do not go together", async () => {
    const pki = await load();
    expect(whyNotBelieved(pki, clock.now())).toBeUndefined();
    expect(whyNotBelieved(pki, clock.now() - dayMs)).toContain("this machine's clock says");
    expect(whyNotBelieved(pki, clock.now() + 3660 * dayMs)).toContain("valid from");
  });

  it("replaces a torn leaf, but refuses to replace a torn authority", async () => {
    const first = await load();
    await writeFile(join(dataDir, "pki", "admin.crt"), "");
    expect((await load()).admin.key).not.toBe(first.admin.key);
    await writeFile(join(dataDir, "pki", "ca.key"), "");
    await expect(load()).rejects.toThrow("private key of");
  });
});

describe("kubeconfigText()", () => {
  it("is YAML with embedded certificates", async () => {
    const pki = await load();
    const text = kubeconfigText({
      server: "https://127.0.0.1:6443",
      authority: pki.ca.pem.certificate,
      credentials: pki.admin,
      user: "kubernetes-admin",
    });
    const config = parse(text);
    expect(config["current-context"]).toBe("kubernetes-admin@kubernetes");
    expect(Buffer.from(config.users[0].user["client-key-data"], "base64").toString()).toBe(pki.admin.key);
    const path = join(dataDir, "admin.conf");
    await writeKubeconfig(path, {
      server: "https://x",
      authority: pki.ca.pem.certificate,
      credentials: pki.admin,
      user: "kubernetes-admin",
    });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });
});
