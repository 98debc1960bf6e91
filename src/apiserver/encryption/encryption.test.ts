import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { serveRpc } from "../../rpc/server.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import type { Store } from "../../storage/store.ts";
import { builtInDefinitions } from "../registry/definitions.ts";
import { createFixture, type Fixture } from "../registry/request-fixture.ts";
import { describedResources } from "../registry/resources/all.ts";
import { createEncryption, type Encryption } from "./encryption.ts";
import { type KeyManagementServiceHandlers, kmsV2 } from "./generated/kms-v2.ts";

let directory = "";
let store: Store;
const running: Running[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-encryption-"));
  store = createMemoryStore({ clock: new VirtualClock() });
});
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
  await store.close();
  await rm(directory, { recursive: true });
});

const keyOf = (name: string, byte: number): string => `{name: ${name}, secret: ${Buffer.alloc(32, byte).toString("base64")}}`;
const old = `{aescbc: {keys: [${keyOf("old", 1)}]}}`;
const fresh = `{secretbox: {keys: [${keyOf("new", 2)}]}}`;

interface Server extends Fixture {
  readonly encryption: Encryption;
  /** Of the watch caches. */
  readonly cacheClock: VirtualClock;
  readonly configure: (providers: string, resource?: string) => Promise<void>;
  readonly metrics: MetricsRegistry;
}

/** A server on the store of this test, as if it had just been started. */
async function start(providers: string, automaticReload = false): Promise<Server> {
  const path = join(directory, "encryption.yaml");
  const configure = (list: string, resource = "secrets") =>
    writeFile(
      path,
      `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{resources: [${resource}], providers: [${list}]}]\n`,
    );
  await configure(providers);
  const clock = new VirtualClock();
  const metrics = new MetricsRegistry();
  const encryption = await createEncryption({ clock, logger: silentLogger, metrics }, { path, automaticReload });
  const fixture = createFixture({
    definitions: builtInDefinitions(describedResources),
    storeFor: (_own, resource, prefix) => encryption.storeFor(store, resource, prefix),
  });
  running.push(encryption, fixture);
  return { ...fixture, clock, cacheClock: fixture.clock, encryption, configure, metrics };
}

const path = "/api/v1/namespaces/default/secrets";
const secret = (name: string) => ({ apiVersion: "v1", kind: "Secret", metadata: { name }, data: { password: "c2VjcmV0" } });
const storedAt = async (name: string): Promise<string> =>
  Buffer.from((await store.get(`/registry/secrets/default/${name}`))?.value ?? new Uint8Array()).toString("latin1");
const passwordOf = async (server: Server, name: string): Promise<unknown> =>
  ((await server.send("GET", `${path}/${name}`)).body.data as { password?: string })?.password;

/** A KMS plugin: encrypts with keys that a test rotates. */
async function startPlugin(endpoint: string) {
  const keys = new Map([["key-1", randomBytes(32)]]);
  const plugin = {
    keyId: "key-1",
    healthz: "ok",
    isGone: false,
    encryptions: 0,
    decryptions: 0,
    /** Decryption waits for it. */
    held: Promise.resolve(),
    rotate: (id: string) => void keys.set(id, randomBytes(32)),
  };
  const handlers: KeyManagementServiceHandlers = {
    async status() {
      if (plugin.isGone) throw new RpcError("UNAVAILABLE", "no module");
      return { version: "v2", healthz: plugin.healthz, keyId: plugin.keyId };
    },
    async encrypt({ plaintext }) {
      plugin.encryptions++;
      const iv = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", keys.get(plugin.keyId) ?? "", iv);
      const text = Buffer.concat([iv, cipher.update(plaintext), cipher.final()]);
      return { ciphertext: text, keyId: plugin.keyId, annotations: { "tag.kms.example.com": cipher.getAuthTag() } };
    },
    async decrypt({ ciphertext, keyId, annotations }) {
      plugin.decryptions++;
      await plugin.held;
      const cipher = createDecipheriv("aes-256-gcm", keys.get(keyId) ?? "", ciphertext.subarray(0, 12));
      cipher.setAuthTag(annotations["tag.kms.example.com"] ?? new Uint8Array());
      return { plaintext: Buffer.concat([cipher.update(ciphertext.subarray(12)), cipher.final()]) };
    },
  };
  const server = await serveRpc({ endpoint, services: [{ protocol: kmsV2, service: "KeyManagementService", handlers }] });
  running.push(server);
  return Object.assign(plugin, { stop: () => server.stop() });
}

describe("createEncryption()", () => {
  it("encrypts the resources it names, with upstream's prefix, and no others", async () => {
    const server = await start(old);
    await server.send("POST", path, { body: secret("s") });
    await server.send("POST", "/api/v1/namespaces/default/configmaps", { body: { metadata: { name: "c" } } });
    expect(await storedAt("s")).toMatch(/^k8s:enc:aescbc:v1:old:/);
    expect(await storedAt("s")).not.toContain("c2VjcmV0");
    expect(await passwordOf(server, "s")).toBe("c2VjcmV0");
    expect(await store.get("/registry/configmaps/default/c")).toBeUndefined();
    expect(await server.store.get("/registry/configmaps/default/c")).toBeDefined();
  });

  it("serves lists, watches, updates and conflicts as ever, also after a restart", async () => {
    const server = await start(old);
    const log = await server.watch(`${path}?watch=1`);
    await server.send("POST", path, { body: secret("a") });
    await server.send("PATCH", `${path}/a`, { body: { data: { password: "bmV3" } }, contentType: "application/merge-patch+json" });
    await vi.waitFor(() => expect(log.events.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED"]), 60_000);
    expect(log.events[1]?.object.data).toEqual({ password: "bmV3" });
    expect((await server.send("POST", path, { body: secret("a") })).status).toBe(409);
    const again = await start(old);
    expect((await again.send("GET", path)).body.items.map(({ data }) => data)).toEqual([{ password: "bmV3" }]);
    expect((await again.send("DELETE", `${path}/a`)).status).toBe(200);
    await vi.waitFor(() => expect(log.events.at(-1)?.type).toBe("DELETED"), 60_000);
  });

  it("reads by every provider and rewrites by the first when an object is written, changed or not", async () => {
    const before = await start("{identity: {}}");
    await before.send("POST", path, { body: secret("s") });
    expect(await storedAt("s")).toMatch(/^\{"kind":"Secret"/);
    const after = await start(`${fresh}, ${old}, {identity: {}}`);
    expect(await passwordOf(after, "s")).toBe("c2VjcmV0");
    const { body } = await after.send("GET", `${path}/s`);
    const { body: rewritten } = await after.send("PUT", `${path}/s`, { body });
    expect(await storedAt("s")).toMatch(/^k8s:enc:secretbox:v1:new:/);
    expect(rewritten.metadata.resourceVersion).not.toBe(body.metadata.resourceVersion);
    const { body: same } = await after.send("PUT", `${path}/s`, { body: rewritten });
    expect(same.metadata.resourceVersion).toBe(rewritten.metadata.resourceVersion);
  });

  it("refuses lists and watches, instead of letting them wait, while there is what no provider can read", async () => {
    const before = await start(old);
    for (const name of ["a", "b"]) await before.send("POST", path, { body: secret(name) });
    const server = await start(fresh);
    const text =
      'storage is (re)initializing: failed to list *core.Secret: unable to transform key "/registry/secrets/default/a": no matching prefix found';
    const first = await server.send("GET", path);
    expect([first.status, first.body.message, first.body.details]).toEqual([429, text, { retryAfterSeconds: 1 }]);
    for (const query of ["resourceVersion=0", "labelSelector=a", "limit=1&labelSelector=a", "watch=1"])
      expect((await server.send("GET", `${path}?${query}`)).body).toMatchObject({ code: 429, message: text });
    // Objects, and pages of all of them, are read from the store.
    await expect(server.send("GET", `${path}?limit=1`)).rejects.toThrow('unable to transform key "/registry/secrets/default/a"');
    await server.send("POST", path, { body: secret("c") });
    expect((await server.send("GET", `${path}/c?resourceVersion=0`)).body.metadata.name).toBe("c");
    await server.cacheClock.advance(50_000);
    expect((await server.send("GET", path)).body.details).toEqual({ retryAfterSeconds: 20 });
    for (const name of ["a", "b"])
      await store.transact({ conditions: [], operations: [{ type: "delete", key: `/registry/secrets/default/${name}` }] });
    await server.cacheClock.advance(1000);
    expect((await server.send("GET", path)).body.items.map(({ metadata }) => metadata.name)).toEqual(["c"]);
  });

  it("answers 500 for what no provider can read", async () => {
    await (await start(old)).send("POST", path, { body: secret("s") });
    const server = await start(fresh);
    await expect(server.send("GET", `${path}/s`)).rejects.toThrow(/^no matching prefix found$/);
    const prefix = "/registry/secrets/";
    const read = server.encryption.storeFor(store, { group: "", resource: "secrets" }, prefix);
    await expect(read?.range({ start: prefix, end: "/registry/secrets0" })).rejects.toThrow(
      'unable to transform key "/registry/secrets/default/s": no matching prefix found',
    );
    const plain = await start("{identity: {}}");
    await expect(plain.send("GET", `${path}/s`)).rejects.toThrow("identity transformer tried to read encrypted data");
  });

  it("follows its file where told so, and keeps what it has when the new one is wrong", async () => {
    const server = await start("{identity: {}}", true);
    await server.configure("{nonsense: {}}");
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(server.metrics.text()).toContain('status="failure"} 1'), 60_000);
    await server.send("POST", path, { body: secret("a") });
    expect(await storedAt("a")).toMatch(/^\{/);
    await server.configure(`${fresh}, {identity: {}}`);
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(server.metrics.text()).toContain('status="success"} 1'), 60_000);
    await server.send("POST", path, { body: secret("b") });
    expect(await storedAt("b")).toMatch(/^k8s:enc:secretbox:v1:new:/);
    expect(await passwordOf(server, "a")).toBe("c2VjcmV0");
  });
});

describe("KMS v2", () => {
  const kms = () => `{kms: {apiVersion: v2, name: vault, endpoint: "unix://${join(directory, "kms.sock")}", timeout: 2s}}`;

  it("encrypts a seed once and uses it for every value; another server asks to decrypt it once", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "kms.sock")}`);
    const server = await start(kms());
    for (const name of ["a", "b", "c"]) await server.send("POST", path, { body: secret(name) });
    expect(await storedAt("a")).toMatch(/^k8s:enc:kms:v2:vault:/);
    expect(await passwordOf(server, "b")).toBe("c2VjcmV0");
    expect([plugin.encryptions, plugin.decryptions]).toEqual([1, 0]);
    const again = await start(kms());
    const log = await again.watch(`${path}?watch=1`);
    await vi.waitFor(() => expect(log.events).toHaveLength(3), 60_000);
    expect(plugin.decryptions).toBe(1);
    // What the first server writes after its key has changed comes to the second one's watch, in order.
    plugin.rotate("key-2");
    plugin.keyId = "key-2";
    await server.clock.advance(60_000);
    await vi.waitFor(() => expect(plugin.encryptions).toBe(3), 60_000);
    await server.send("POST", path, { body: secret("d") });
    await server.send("DELETE", `${path}/a`);
    await vi.waitFor(
      () =>
        expect(log.events.slice(3).map(({ type, object }) => [type, object.metadata.name])).toEqual([
          ["ADDED", "d"],
          ["DELETED", "a"],
        ]),
      60_000,
    );
  });

  it("finds a plugin at an abstract socket", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "kms.sock")}`);
    const name = `coracle-kms-${process.pid}`;
    const abstract = createServer((incoming) => void incoming.pipe(connect(join(directory, "kms.sock"))).pipe(incoming));
    await new Promise<void>((resolve) => abstract.listen(`\0${name}`, resolve));
    running.unshift({ stop: () => new Promise((resolve) => void abstract.close(() => resolve())) });
    const server = await start(`{kms: {apiVersion: v2, name: vault, endpoint: "unix:///@${name}", timeout: 20s}}`);
    await server.send("POST", path, { body: secret("a") });
    expect(await storedAt("a")).toMatch(/^k8s:enc:kms:v2:vault:/);
    expect(plugin.encryptions).toBe(1);
  });

  it("rewrites objects of an older key", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "kms.sock")}`);
    const server = await start(kms());
    const { body } = await server.send("POST", path, { body: secret("s") });
    const before = await storedAt("s");
    expect((await server.send("PUT", `${path}/s`, { body })).body.metadata.resourceVersion).toBe(body.metadata.resourceVersion);
    plugin.rotate("key-2");
    plugin.keyId = "key-2";
    await server.clock.advance(60_000);
    await vi.waitFor(() => expect(plugin.encryptions).toBe(2), 60_000);
    await vi.waitFor(async () => {
      await server.send("PUT", `${path}/s`, { body: { ...body, metadata: { ...body.metadata, resourceVersion: undefined } } });
      expect(await storedAt("s")).not.toBe(before);
    }, 60_000);
    expect(await storedAt("s")).toContain("key-2");
  });

  it("fails its health check while the plugin is not well, and writes for three more minutes", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "kms.sock")}`);
    const server = await start(kms());
    const [check] = server.encryption.healthChecks;
    expect(check?.name).toBe("kms-providers");
    expect(check?.exceptLiveness).toBe(true);
    const problem = async (): Promise<string> => {
      try {
        await check?.check();
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(await problem()).toBe("");
    plugin.healthz = "sealed";
    // What was asked a moment ago is not asked again.
    await server.clock.advance(19_000);
    expect(await problem()).toBe("");
    await server.clock.advance(1000);
    expect(await problem()).toBe("kms-provider-0: kmsv2 Provider vault is not healthy, error: got unexpected healthz status: sealed");
    plugin.isGone = true;
    await server.clock.advance(2000);
    expect(await problem()).toContain("sealed");
    await server.clock.advance(1000);
    expect(await problem()).toBe(
      "kms-provider-0: failed to perform status section of the healthz check for KMS Provider vault, error: rpc error: code = Unavailable desc = no module",
    );
    // What is known already is told in the plugin's words alone.
    expect(await problem()).toBe("kms-provider-0: rpc error: code = Unavailable desc = no module");
    await server.send("POST", path, { body: secret("still") });
    for (let i = 0; i < 20; i++) await server.clock.advance(10_000);
    await expect(server.send("POST", path, { body: secret("late") })).rejects.toThrow("has not been confirmed");
    plugin.healthz = "ok";
    plugin.isGone = false;
    await server.clock.advance(3000);
    expect(await problem()).toBe("");
    expect((await server.send("POST", path, { body: secret("late") })).status).toBe(201);
  });

  it("counts what is transformed, and what the plugin is asked, by the hashes of its keys", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "kms.sock")}`);
    const server = await start(kms());
    await server.send("POST", path, { body: secret("s") });
    expect(await passwordOf(server, "s")).toBe("c2VjcmV0");
    const prefix = 'transformer_prefix="k8s:enc:kms:v2:vault:"';
    const text = server.metrics.text();
    expect(text).toContain(
      `apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="to_storage",${prefix}} 1`,
    );
    expect(text).toContain(`apiserver_storage_transformation_duration_seconds_count{transformation_type="to_storage",${prefix}} 1`);
    const hash = `sha256:${createHash("sha256").update(plugin.keyId).digest("hex")}`;
    const use = `key_id_hash="${hash}",provider_name="vault",transformation_type="to_storage"} 1`;
    expect(text.split("\n").find((line) => line.startsWith("apiserver_envelope_encryption_key_id_hash_total"))).toContain(use);
    const method = 'method_name="/v2.KeyManagementService/Encrypt",provider_name="vault"';
    expect(text).toContain(`kms_operations_latency_seconds_count{grpc_status_code="OK",${method}} 1`);
    expect(text).toContain('dek_source_cache_size{provider_name="vault"} 1');
    plugin.keyId = "";
    await server.clock.advance(60_000);
    await vi.waitFor(
      () => expect(server.metrics.text()).toContain('invalid_key_id_from_status_total{error="empty",provider_name="vault"} 1'),
      60_000,
    );
    await expect(server.encryption.healthChecks[0]?.check()).rejects.toThrow('got invalid KMSv2 KeyID hash "": keyID is empty');
  });
});

describe("automatic reload", () => {
  const patience = { timeout: 60_000 };
  const kms = (name: string, timeout = "60s") =>
    `{kms: {apiVersion: v2, name: ${name}, endpoint: "unix://${join(directory, `${name}.sock`)}", timeout: ${timeout}}}`;

  it("lets calls of the plugins that it replaces end", async () => {
    const plugin = await startPlugin(`unix://${join(directory, "one.sock")}`);
    const first = await start(kms("one"));
    await first.send("POST", path, { body: secret("s") });
    const server = await start(kms("one"), true);
    let release = (): void => undefined;
    plugin.held = new Promise((resolve) => (release = resolve));
    const read = server.encryption.storeFor(store, { group: "", resource: "secrets" }, "/registry/secrets/");
    const got = read?.get("/registry/secrets/default/s");
    await vi.waitFor(() => expect(plugin.decryptions).toBe(1), patience);
    await server.configure(`${fresh}, ${kms("one", "50s")}`);
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(server.metrics.text()).toContain('status="success"} 1'), patience);
    release();
    expect(Buffer.from((await got)?.value ?? "").toString()).toContain("c2VjcmV0");
  });

  it("tells of each plugin that is not well, and counts every attempt that fails", async () => {
    const server = await start(`${old}`, true);
    const [check] = server.encryption.healthChecks;
    expect(check?.name).toBe("kms-providers");
    const plugins = await Promise.all(["one", "two"].map((name) => startPlugin(`unix://${join(directory, `${name}.sock`)}`)));
    await server.configure(`${kms("one")}, ${kms("two")}, ${old}`);
    const failures = () => Number(/reloads_total\{[^}]*status="failure"\} (\d+)/.exec(server.metrics.text())?.[1] ?? 0);
    for (const plugin of plugins) plugin.healthz = "sealed";
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(failures()).toBe(1), patience);
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(failures()).toBe(2), patience);
    for (const plugin of plugins) plugin.healthz = "ok";
    await server.clock.advance(10_000);
    await vi.waitFor(() => expect(server.metrics.text()).toContain('status="success"} 1'), patience);
    await check?.check();
    for (const plugin of plugins) plugin.healthz = "lost";
    await server.clock.advance(20_000);
    const text = (i: number, name: string) =>
      `kms-provider-${i}: kmsv2 Provider ${name} is not healthy, error: got unexpected healthz status: lost`;
    await expect(check?.check()).rejects.toThrow(`[${text(0, "one")}, ${text(1, "two")}]`);
  });

  it("does not count what the file does not name", async () => {
    const server = await start(old, true);
    await server.send("POST", "/api/v1/namespaces/default/configmaps", { body: { metadata: { name: "c" } } });
    expect((await store.get("/registry/configmaps/default/c"))?.value).toBeDefined();
    expect(server.metrics.text()).not.toContain('resource="configmaps"');
  });
});

describe("figures of local providers", () => {
  it("count a key within its provider, and values that nobody can read", async () => {
    const first = await start(old);
    await first.send("POST", path, { body: secret("s") });
    const counted = first.metrics.text();
    const written = 'resource="secrets",status="OK",transformation_type="to_storage"';
    for (const prefix of ["k8s:enc:aescbc:v1:", "old:"])
      expect(counted).toContain(`operations_total{${written},transformer_prefix="${prefix}"} 1`);
    expect(counted).toMatch(
      /encryption_config_controller_last_config_info\{apiserver_id_hash="sha256:[0-9a-f]+",hash="sha256:[0-9a-f]+"\} 1/,
    );
    const second = await start("{identity: {}}");
    await expect(
      second.encryption.storeFor(store, { group: "", resource: "secrets" }, "/registry/secrets/")?.get("/registry/secrets/default/s"),
    ).rejects.toThrow("identity transformer tried to read encrypted data");
    const failed = 'status="unknown-non-grpc",transformation_type="from_storage",transformer_prefix="unknown"';
    expect(second.metrics.text()).toContain(`operations_total{resource="secrets",${failed}} 1`);
  });
});
