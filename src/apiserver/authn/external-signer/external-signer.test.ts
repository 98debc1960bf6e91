import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { silentLogger } from "../../../base/log.ts";
import { MetricsRegistry } from "../../../base/metrics.ts";
import { RpcError } from "../../../rpc/rpc-error.ts";
import { decodeJwt, decodeJwtHeader } from "../jwt.ts";
import { type ExternalSigner, openExternalSigner } from "./external-signer.ts";
import { SignerFixture } from "./external-signer-fixture.ts";

const issuer = (text: string): boolean => text === "https://issuer.example";
const claims = { iss: "https://issuer.example", sub: "system:serviceaccount:ns:default" };

let directory = "";
let socket = "";
let signer: SignerFixture;
let clock: VirtualClock;
let metrics: MetricsRegistry;
const running: Running[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-signer-"));
  socket = join(directory, "signer.sock");
  clock = new VirtualClock();
  metrics = new MetricsRegistry();
  signer = new SignerFixture();
  running.push(signer);
});
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
  await rm(directory, { recursive: true });
});

async function open(timeoutMs = 30_000): Promise<ExternalSigner> {
  metrics = new MetricsRegistry();
  const opened = await openExternalSigner({ clock, metrics, logger: silentLogger }, { endpoint: socket, timeoutMs });
  running.push(opened);
  return opened;
}

describe("openExternalSigner()", () => {
  it("has tokens signed, and knows them by the signer's keys", async () => {
    await signer.serve(socket);
    const opened = await open();
    expect(opened.maxExpirationSeconds).toBe(7200);
    const token = await opened.sign(claims);
    expect(decodeJwtHeader(token)).toEqual({ alg: "ES256", kid: "first", typ: "JWT" });
    expect(decodeJwt(token)).toEqual(claims);
    expect(await opened.keys.claimsOf(token, issuer)).toEqual(claims);
    expect(await opened.keys.claimsOf(token, () => false)).toBeUndefined();
    const [head = "", payload = ""] = token.split(".");
    const forged = `${head}.${payload}.${createHash("sha512").update("x").digest("base64url")}`;
    expect(() => opened.keys.claimsOf(forged, issuer)).toThrow("error in cryptographic primitive");
    const text = metrics.text();
    expect(text).toContain('apiserver_externaljwt_sign_request_total{code="OK"} 1');
    expect(text).toContain('apiserver_externaljwt_fetch_keys_request_total{code="OK"} 1');
    expect(text).toContain("apiserver_externaljwt_fetch_keys_data_timestamp 1.7000000005e+09");
    expect(text).toContain('apiserver_externaljwt_request_duration_seconds_count{code="OK",method="/v1.ExternalJWTSigner/Metadata"} 1');
  });

  it("finds a signer at an abstract socket", async () => {
    await signer.serve(socket);
    const name = `coracle-signer-${process.pid}`;
    const abstract = createServer((incoming) => void incoming.pipe(connect(socket)).pipe(incoming));
    await new Promise<void>((resolve) => abstract.listen(`\0${name}`, resolve));
    const opened = await openExternalSigner({ clock, metrics, logger: silentLogger }, { endpoint: `@${name}`, timeoutMs: 30_000 });
    expect(opened.keys.published).toHaveLength(1);
    await opened.stop();
    await new Promise((resolve) => abstract.close(resolve));
  });

  it("waits for a signer that comes later", async () => {
    const opening = open();
    await vi.waitFor(() => expect(running).toHaveLength(1), 60_000);
    await signer.serve(socket);
    expect((await opening).keys.published.map(({ id }) => id)).toEqual(["first"]);
  });

  it("rejects where none comes in time, and where one does not serve", async () => {
    await expect(open(300)).rejects.toThrow(
      /^while setting up external-jwt-signer: while initially filling key cache: while performing initial cache fill: while fetching token verification keys: while getting externally supported jwt signing keys: rpc error: code = DeadlineExceeded desc = /,
    );
    signer.maxSeconds = 599;
    await signer.serve(socket);
    await expect(open()).rejects.toThrow("max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)");
    signer.refreshSeconds = 0;
    await expect(open()).rejects.toThrow("while fetching token verification keys: found invalid refresh hint (0s)");
    signer.refreshSeconds = 10;
    signer.newKey("");
    await expect(open()).rejects.toThrow('found invalid public key id ""');
    signer.pairs.length = 0;
    await expect(open()).rejects.toThrow("found no keys");
  });

  it("fetches keys when the signer wants it, and when a token has a new one", async () => {
    await signer.serve(socket);
    const opened = await open();
    const before = opened.keys.published;
    signer.newKey("second");
    const token = await opened.sign(claims);
    expect(await opened.keys.claimsOf(token, issuer)).toEqual(claims);
    expect(opened.keys.published.map(({ id }) => id)).toEqual(["second", "first"]);
    expect(opened.keys.published).not.toBe(before);
    signer.newKey("third");
    await clock.advance(59_000);
    expect(opened.keys.maxAgeSeconds).toBe(1);
    await clock.advance(1_000);
    await vi.waitFor(() => expect(opened.keys.published.map(({ id }) => id)).toEqual(["third", "second", "first"]), 60_000);
    const same = opened.keys.published;
    await clock.advance(60_000);
    await vi.waitFor(() => expect(signer.fetches).toBe(4), 60_000);
    expect(opened.keys.published).toBe(same);
  });

  it("keeps its keys while the signer fails, and asks again after ten seconds", async () => {
    await signer.serve(socket);
    const opened = await open();
    const token = await opened.sign(claims);
    signer.failure = new RpcError("INTERNAL", "out of order");
    await clock.advance(60_000);
    await vi.waitFor(() => expect(metrics.text()).toContain('fetch_keys_request_total{code="Internal"} 1'), 60_000);
    expect(await opened.keys.claimsOf(token, issuer)).toEqual(claims);
    await expect(opened.sign(claims)).rejects.toThrow("while signing jwt: rpc error: code = Internal desc = out of order");
    expect(metrics.text()).toContain('apiserver_externaljwt_sign_request_total{code="Internal"} 1');
    signer.failure = undefined;
    signer.newKey("second");
    await clock.advance(10_000);
    await vi.waitFor(() => expect(opened.keys.published).toHaveLength(2), 60_000);
  });

  it.each([
    [{ typ: "JOSE" }, "bad type"],
    [{ kid: "" }, "key id missing"],
    [{ kid: "k".repeat(1025) }, "key id longer than 1 kb"],
    [{ alg: "HS256" }, 'bad signing algorithm "HS256"'],
    [{ x5t: "more" }, 'while parsing header JSON: json: unknown field "x5t"'],
  ])("refuses the header with %j", async (more, problem) => {
    await signer.serve(socket);
    const opened = await open();
    signer.headerMore = more;
    await expect(opened.sign(claims)).rejects.toThrow(`while validating header: ${problem}`);
    expect(metrics.text()).toContain('apiserver_externaljwt_sign_request_total{code="unknown-non-grpc"} 1');
  });

  it("believes a key that signs nothing any more, and neither tells others of it nor takes new tokens of it", async () => {
    await signer.serve(socket);
    const opened = await open();
    const token = await opened.sign(claims);
    const [old] = signer.pairs;
    if (old) old.retired = true;
    signer.newKey("second");
    await clock.advance(60_000);
    await vi.waitFor(() => expect(opened.keys.published.map(({ id }) => id)).toEqual(["second"]), 60_000);
    expect(await opened.keys.claimsOf(token, issuer)).toEqual(claims);
    signer.pairs.reverse();
    await expect(opened.sign(claims)).rejects.toThrow("key used for signing JWT (kid: first) is excluded from OIDC discovery docs");
  });
});
