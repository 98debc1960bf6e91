import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { realClock, VirtualClock } from "../../../base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../../base/x509/certificate.ts";
import { machineRoots } from "../../../base/x509/machine-roots.ts";
import { createHttpsGet } from "./https-get.ts";

const keys = generateKey();
const certificate = issueCertificate(
  {
    subject: { commonName: "self", organizations: [] },
    names: { ipAddresses: ["127.0.0.1"] },
    publicKey: keys.publicKey,
    notBeforeMs: realClock.now() - 3600_000,
    notAfterMs: realClock.now() + 3600_000,
    keyUsages: ["digitalSignature", "certSign"],
    isAuthority: true,
  },
  { key: keys.privateKey },
);
const caPem = certificatePem(certificate);

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

type Listener = NonNullable<Parameters<typeof createServer>[1]>;

async function serve(listener: Listener): Promise<string> {
  const server = createServer({ cert: caPem, key: privateKeyPem(keys.privateKey) }, listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("createHttpsGet()", () => {
  it("follows redirects, but takes a token to no other server", async () => {
    const seen: string[] = [];
    const other = await serve((request, response) => {
      seen.push(request.headers.authorization ?? "none");
      response.end("there");
    });
    const first = await serve((request, response) => {
      seen.push(request.headers.authorization ?? "none");
      response.writeHead(302, { location: request.url === "/a" ? "/b" : `${other}/` }).end();
    });
    const answer = await createHttpsGet({ clock: realClock, caPem })(`${first}/a`, { bearerToken: "t" });
    expect(answer).toMatchObject({ status: 200, body: "there" });
    expect(seen).toEqual(["Bearer t", "Bearer t", "none"]);
  });

  it("gives up on endless redirects, long answers, other protocols and certificates of nobody known", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/long") response.end("x".repeat(2 ** 20 + 1));
      else response.writeHead(302, { location: "/again" }).end();
    });
    const get = createHttpsGet({ clock: realClock, caPem });
    await expect(get(`${url}/a`)).rejects.toThrow("stopped after 10 redirects");
    await expect(get(`${url}/long`)).rejects.toThrow("longer than 1048576 bytes");
    await expect(get("http://127.0.0.1/")).rejects.toThrow("expected https");
    await expect(createHttpsGet({ clock: realClock, caPem: "" })(`${url}/a`)).rejects.toThrow(/self.signed certificate/);
  });

  it("has a deadline", async () => {
    let asked: () => void = () => undefined;
    const whenAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const url = await serve(() => asked());
    const clock = new VirtualClock();
    const answer = createHttpsGet({ clock, caPem })(url).catch((error: Error) => error.message);
    await whenAsked;
    await clock.advance(30_000);
    expect(await answer).toBe(`Get "${url}": context deadline exceeded`);
  });
});

describe("machineRoots()", () => {
  it("reads the bundle that is named, and knows when there is none", async () => {
    const directory = await mkdtemp(join(tmpdir(), "coracle-roots-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const bundle = join(directory, "roots.pem");
    await writeFile(bundle, caPem);
    expect(await machineRoots({ SSL_CERT_FILE: bundle })).toBe(caPem);
    expect(await machineRoots({ SSL_CERT_FILE: join(directory, "absent.pem") })).toBeUndefined();
  });
});
