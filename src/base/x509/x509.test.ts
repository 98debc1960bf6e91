import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  certificateFromPem,
  certificatePem,
  generateKey,
  issueCertificate,
  type KeyedCertificate,
  keyMatches,
  privateKeyPem,
} from "./certificate.ts";
import { ipBytes, ipText } from "./names.ts";
import { decodePem, encodePem, pemBlocks } from "./pem.ts";
import { createSigningRequest, parseSigningRequest } from "./signing-request.ts";

const dayMs = 86_400_000;
const nowMs = Date.now();
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "x509-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const openssl = (...args: string[]): string =>
  execFileSync("openssl", args, { encoding: "utf8", cwd: dir, stdio: ["ignore", "pipe", "pipe"] });

function authority(): KeyedCertificate {
  const keys = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: "kubernetes", organizations: [] },
      publicKey: keys.publicKey,
      notBeforeMs: nowMs - 1000,
      notAfterMs: nowMs + 3650 * dayMs,
      keyUsages: ["digitalSignature", "certSign"],
      isAuthority: true,
    },
    { key: keys.privateKey },
  );
  return { certificate, key: keys.privateKey };
}

function leaf(ca: KeyedCertificate): KeyedCertificate {
  const keys = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: "system:node:n1", organizations: ["system:nodes", "gräben"] },
      names: { dnsNames: ["n1", "n1.example.com"], ipAddresses: ["10.1.2.3", "fd00::1:2"] },
      publicKey: keys.publicKey,
      notBeforeMs: nowMs - 1000,
      notAfterMs: nowMs + 365 * dayMs,
      keyUsages: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsages: ["serverAuth", "clientAuth"],
    },
    ca,
  );
  return { certificate, key: keys.privateKey };
}

describe("issueCertificate()", () => {
  it("makes chains that openssl verifies for both purposes", () => {
    const ca = authority();
    const issued = leaf(ca);
    writeFileSync(join(dir, "ca.crt"), certificatePem(ca.certificate));
    writeFileSync(join(dir, "leaf.crt"), certificatePem(issued.certificate));
    for (const purpose of ["sslserver", "sslclient"])
      expect(openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", "leaf.crt")).toContain("leaf.crt: OK");
  });

  it("writes names, usages and key identifiers as openssl reads them", () => {
    const issued = leaf(authority());
    writeFileSync(join(dir, "leaf.crt"), certificatePem(issued.certificate));
    const text = openssl("x509", "-in", "leaf.crt", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus");
    expect(text).toContain("O=system:nodes,O=gräben,CN=system:node:n1");
    expect(text).toMatch(/DNS:n1, DNS:n1.example.com, IP Address:10.1.2.3, IP Address:FD00:0:0:0:0:0:1:2/);
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment/);
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(text).toContain("CA:FALSE");
    expect(text).toContain("Authority Key Identifier");
  });

  it("is checked by its issuer's key and by no other", () => {
    const ca = authority();
    const issued = leaf(ca);
    const node = new X509Certificate(issued.certificate.der);
    expect(node.verify(new X509Certificate(ca.certificate.der).publicKey)).toBe(true);
    expect(node.verify(new X509Certificate(authority().certificate.der).publicKey)).toBe(false);
    expect(keyMatches(issued.certificate, issued.key)).toBe(true);
    expect(keyMatches(issued.certificate, ca.key)).toBe(false);
  });

  it("writes validity beyond 2049", () => {
    const keys = generateKey();
    const notAfterMs = Date.UTC(2055, 0, 2, 3, 4, 5);
    const made = issueCertificate(
      {
        subject: { commonName: "x", organizations: [] },
        publicKey: keys.publicKey,
        notBeforeMs: nowMs,
        notAfterMs,
        keyUsages: ["certSign"],
      },
      { key: keys.privateKey },
    );
    expect(made.notAfterMs).toBe(notAfterMs);
    expect(new X509Certificate(made.der).validTo).toBe("Jan  2 03:04:05 2055 GMT");
  });
});

describe("a certificate without usages of its key", () => {
  it("does not speak of them, so that clients may be known by it", () => {
    const keys = generateKey();
    const ca = authority();
    const { der } = issueCertificate(
      {
        subject: { commonName: "jane", organizations: [] },
        publicKey: keys.publicKey,
        notBeforeMs: nowMs - 1000,
        notAfterMs: nowMs + dayMs,
        keyUsages: [],
        extendedKeyUsages: ["clientAuth"],
      },
      ca,
    );
    writeFileSync(join(dir, "usageless.der"), der);
    writeFileSync(join(dir, "usageless-ca.pem"), certificatePem(ca.certificate));
    expect(openssl("x509", "-inform", "der", "-in", "usageless.der", "-noout", "-text")).not.toContain("X509v3 Key Usage");
    openssl("x509", "-inform", "der", "-in", "usageless.der", "-out", "usageless.pem");
    expect(openssl("verify", "-purpose", "sslclient", "-CAfile", "usageless-ca.pem", "usageless.pem")).toContain("OK");
  });
});

describe("parseCertificate()", () => {
  it("reads what it wrote", () => {
    const { certificate } = leaf(authority());
    const read = certificateFromPem(certificatePem(certificate));
    expect(read.subject).toEqual({ commonName: "system:node:n1", organizations: ["system:nodes", "gräben"] });
    expect(read.names.ipAddresses).toEqual(["10.1.2.3", "fd00::1:2"]);
    expect(read.extendedKeyUsages).toEqual(["serverAuth", "clientAuth"]);
    expect(read.isAuthority).toBe(false);
  });

  it("reads openssl's certificates with several organizations in one set", () => {
    openssl(
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "o.key",
      "-out",
      "o.crt",
      "-multivalue-rdn",
      "-subj",
      "/O=a+O=b/CN=jane",
      "-days",
      "2",
    );
    const read = certificateFromPem(openssl("x509", "-in", "o.crt"));
    expect([...read.subject.organizations].sort()).toEqual(["a", "b"]);
    expect(read.subject.commonName).toBe("jane");
    expect(read.isAuthority).toBe(true);
  });

  it("refuses truncated and foreign bytes", () => {
    const { certificate } = leaf(authority());
    expect(() => certificateFromPem(encodePem("CERTIFICATE", certificate.der.subarray(0, 100)))).toThrow("longer than the data");
    expect(() => certificateFromPem("hello")).toThrow("no PEM block");
  });
});

describe("signing requests", () => {
  it("are accepted by openssl and read back", () => {
    const keys = generateKey();
    const pem = createSigningRequest({ commonName: "jane", organizations: ["devs"] }, keys, { dnsNames: ["a.b"], ipAddresses: ["::1"] });
    writeFileSync(join(dir, "r.csr"), pem);
    expect(openssl("req", "-in", "r.csr", "-noout", "-verify", "-subject", "-nameopt", "sep_comma_plus")).toContain("O=devs,CN=jane");
    const read = parseSigningRequest(pem);
    expect(read.subject).toEqual({ commonName: "jane", organizations: ["devs"] });
    expect(read.names).toMatchObject({ dnsNames: ["a.b"], ipAddresses: ["::1"] });
  });

  it("of openssl with RSA keys are read, and certificates issued from them verify", () => {
    writeFileSync(join(dir, "rsa.key"), openssl("genrsa", "2048"));
    const pem = openssl(
      "req",
      "-new",
      "-key",
      "rsa.key",
      "-subj",
      "/O=devs/CN=jane",
      "-addext",
      "subjectAltName=DNS:x.y,email:a@b.c,URI:spiffe://z",
    );
    const request = parseSigningRequest(pem);
    expect(request.names).toEqual({ dnsNames: ["x.y"], ipAddresses: [], emailAddresses: ["a@b.c"], uris: ["spiffe://z"] });
    const ca = authority();
    const issued = issueCertificate(
      {
        subject: request.subject,
        names: request.names,
        publicKey: request.publicKeyInfo,
        notBeforeMs: nowMs - 1000,
        notAfterMs: nowMs + dayMs,
        keyUsages: ["digitalSignature"],
        extendedKeyUsages: ["clientAuth"],
      },
      ca,
    );
    writeFileSync(join(dir, "ca2.crt"), certificatePem(ca.certificate));
    writeFileSync(join(dir, "i.crt"), certificatePem(issued));
    expect(openssl("verify", "-purpose", "sslclient", "-CAfile", "ca2.crt", "i.crt")).toContain("OK");
  });

  it("whose signature is not by their own key are refused", () => {
    const pem = createSigningRequest({ commonName: "jane", organizations: [] }, generateKey());
    const der = Uint8Array.from(decodePem("CERTIFICATE REQUEST", pem));
    der.set([der[20] === 65 ? 66 : 65], 20); // inside the subject
    expect(() => parseSigningRequest(encodePem("CERTIFICATE REQUEST", der))).toThrow();
  });
});

describe("IP addresses", () => {
  it.each(["10.0.0.1", "::", "::1", "fe80::1", "2001:db8::1:0:0:1", "1:2:3:4:5:6:7:8"])("%s survives bytes and back", (ip) => {
    expect(ipText(ipBytes(ip))).toBe(ip);
  });

  it("embedded IPv4 is read, nonsense refused", () => {
    expect(ipText(ipBytes("::ffff:10.0.0.1"))).toBe("::ffff:a00:1");
    expect(() => ipBytes("1.2.3")).toThrow("not an IP address");
    expect(() => ipBytes("1::2::z")).toThrow("not an IP address");
  });
});

describe("privateKeyPem()", () => {
  it("writes EC keys in the form kubeadm does", () => {
    expect(privateKeyPem(generateKey().privateKey)).toMatch(/^-----BEGIN EC PRIVATE KEY-----/);
  });
});

describe("pemBlocks()", () => {
  it("finds blocks whose lines belong together, and passes over the rest", () => {
    const [a, b] = [encodePem("CERTIFICATE", Buffer.from("a")), encodePem("PRIVATE KEY", Buffer.from("b"))];
    const text = `note\n-----BEGIN LOST-----\n${a}between\r\n-----BEGIN X-----\nAA==\n-----END Y-----\nx ${a}${b.replaceAll("\n", "\r\n")}`;
    expect(pemBlocks(text)).toEqual([
      { type: "CERTIFICATE", body: "YQ==", text: a.trimEnd() },
      { type: "PRIVATE KEY", body: "Yg==\r", text: b.trimEnd().replaceAll("\n", "\r\n") },
    ]);
    expect(pemBlocks("-----BEGIN A-----\n-----END A-----")).toEqual([{ type: "A", body: "", text: "-----BEGIN A-----\n-----END A-----" }]);
    expect(pemBlocks("-----BEGIN A-----\nAA==\n-----END A----- x\n")).toEqual([]);
  });

  it("takes time in proportion to the text, whatever is missing in it", () => {
    expect(pemBlocks("-----BEGIN CERTIFICATE-----\n".repeat(100_000))).toEqual([]);
    expect(pemBlocks("\n-----END CERTIFICATE-----".repeat(100_000))).toEqual([]);
    expect(pemBlocks(`${"-----BEGIN A-----\n".repeat(100_000)}${"\n-----END B-----".repeat(100_000)}`)).toEqual([]);
  });
});
