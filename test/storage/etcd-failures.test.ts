// The etcd store when what it talks to fails: a member is killed or stands still, the connection is cut, a certificate is
// asked for. No acknowledged write may be lost, no read may be older than one, no watch may miss or repeat a change.

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, connect as dial, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../src/base/x509/certificate.ts";
import { EtcdStore } from "../../src/storage/etcd/etcd-store.ts";
import { put, text } from "../../src/storage/testsuite-kit.ts";
import { startEtcd, whyNoEtcd } from "./etcd-process.ts";
import { prefix, surviving } from "./etcd-survival.ts";

const reason = await whyNoEtcd();
if (reason) console.log(`failures of etcd are not tried: ${reason}`);
function portOf(url: string): number {
  return Number(new URL(url).port);
}

describe.runIf(reason === undefined)("etcd store on three members", () => {
  for (const [what, signal] of [
    ["is killed", "SIGKILL"],
    ["stands still", "SIGSTOP"],
  ] as const) {
    test(`goes on when the one it talks to ${what}`, async () => {
      const members = await startEtcd(3);
      try {
        await surviving(members, () => members[0]?.process.kill(signal));
      } finally {
        await Promise.all(members.map((member) => member.stop()));
      }
    });
  }
});

describe.runIf(reason === undefined)("etcd store behind a connection", () => {
  test("goes on when it is cut and can be made again", async () => {
    const [member] = await startEtcd();
    if (!member) throw new Error("no etcd");
    const sockets = new Set<Socket>();
    const proxy = createServer((client) => {
      const server = dial(portOf(member.url), "127.0.0.1");
      for (const socket of [client, server]) {
        sockets.add(socket);
        socket.on("error", () => socket.destroy());
      }
      client.pipe(server).pipe(client);
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const address = proxy.address();
    try {
      const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
      await surviving([{ ...member, url }], () => {
        for (const socket of sockets) socket.destroy();
      });
    } finally {
      proxy.close();
      await member.stop();
    }
  });
});

describe.runIf(reason === undefined)("etcd store with TLS", () => {
  test("shows its certificate, and checks the server's", async () => {
    const dir = await mkdtemp(join(tmpdir(), "coracle-etcd-tls-"));
    const { files, tls } = await certificates(dir);
    const [member] = await startEtcd(
      1,
      ["--cert-file", files.cert, "--key-file", files.key, "--trusted-ca-file", files.ca, "--client-cert-auth"],
      "https",
    );
    const store = new EtcdStore({ clock: realClock }, { servers: [member?.url ?? ""], tls, prefix });
    const stranger = new EtcdStore({ clock: realClock }, { servers: [member?.url ?? ""], tls: { ca: tls.ca }, prefix });
    try {
      await put(store, `${prefix}a`, "1");
      expect(text((await store.get(`${prefix}a`))?.value)).toBe("1");
      await expect(stranger.get(`${prefix}a`)).rejects.toThrow("UNAVAILABLE");
    } finally {
      await store.close();
      await stranger.close();
      await member?.stop();
      await rm(dir, { recursive: true });
    }
  });
});

async function certificates(dir: string) {
  const validity = { notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 };
  const authority = generateKey();
  const leaf = generateKey();
  const ca = issueCertificate(
    {
      subject: { commonName: "etcd-ca", organizations: [] },
      names: { dnsNames: [] },
      publicKey: authority.publicKey,
      ...validity,
      keyUsages: ["digitalSignature", "certSign"],
      isAuthority: true,
    },
    { key: authority.privateKey },
  );
  const certificate = issueCertificate(
    {
      subject: { commonName: "etcd", organizations: [] },
      names: { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] },
      publicKey: leaf.publicKey,
      ...validity,
      keyUsages: ["digitalSignature"],
      extendedKeyUsages: ["serverAuth", "clientAuth"],
    },
    { certificate: ca, key: authority.privateKey },
  );
  const pem = { ca: certificatePem(ca), cert: certificatePem(certificate), key: privateKeyPem(leaf.privateKey) };
  const files = { ca: join(dir, "ca.crt"), cert: join(dir, "tls.crt"), key: join(dir, "tls.key") };
  for (const name of ["ca", "cert", "key"] as const) await writeFile(files[name], pem[name], { mode: 0o600 });
  return { files, tls: { ca: Buffer.from(pem.ca), cert: Buffer.from(pem.cert), key: Buffer.from(pem.key) } };
}
