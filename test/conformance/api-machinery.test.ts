// What upstream's conformance tests ask of the API server itself and other tests here do not: watches that agree, lists in chunks over
// a compaction, discovery, and the whole life of custom resource definitions. An in-process cluster without nodes, on virtual time.
import https from "node:https";
import { beforeAll, describe, expect, test } from "vitest";
import { isStatus } from "../../src/api/meta/status-error.ts";
import { configmaps, csidrivers, customresourcedefinitions, pods, podtemplates, secrets } from "../../src/api/resources.generated.ts";
import type { CustomResourceDefinition } from "../../src/api/types/apiextensions-v1.ts";
import type { ConfigMap } from "../../src/api/types/core-v1.ts";
import type { WatchEvent } from "../../src/client/client.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import { template, watching } from "./workloads.ts";

const cluster = conformanceCluster({ nodes: 0, keepsNamespaces: true });

const raw = (path: string, accept?: string): Promise<unknown> => cluster.client.raw("GET", path, accept === undefined ? {} : { accept });

/** The bytes as they are: what a client's JSON could not say, such as a field twice. */
async function send(
  method: "POST" | "PUT" | "PATCH",
  path: string,
  body: string,
  given: string | Readonly<Record<string, string>> = {},
): Promise<{ code: number; text: string }> {
  const { server, caPem: ca, cert, key } = await cluster.connection();
  const headers = { "content-type": "application/json", ...(typeof given === "string" ? { "content-type": given } : given) };
  return new Promise((resolve, reject) => {
    const options = { ca, cert, key, method, agent: false, headers };
    const request = https.request(`${server}${path}`, options, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ code: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

describe("watches", () => {
  const labelled = (watched: string) => ({ labels: { watched } });
  const create = (namespace: string, name: string, watched: string): Promise<ConfigMap> =>
    cluster.client.create(configmaps, { metadata: { name, namespace, ...labelled(watched) } });
  const mutate = (namespace: string, name: string, mutation: string, watched?: string): Promise<ConfigMap> => {
    const metadata = watched === undefined ? {} : { metadata: labelled(watched) };
    return cluster.client.patch(configmaps, { namespace, name }, { ...metadata, data: { mutation } }, { type: "merge" });
  };
  const steps = (events: readonly WatchEvent<ConfigMap>[]): string[] =>
    events.flatMap((event) =>
      event.type === "BOOKMARK" ? [] : [`${event.type} ${event.object.metadata.name} ${event.object.data?.mutation ?? ""}`.trim()],
    );
  const from = async (namespace: string, resourceVersion: string, labelSelector = "") => {
    const events: WatchEvent<ConfigMap>[] = [];
    const abort = new AbortController();
    const batches = await cluster.client.watch(configmaps, { namespace, resourceVersion, labelSelector, signal: abort.signal });
    void (async () => {
      for await (const batch of batches) events.push(...batch);
    })().catch(() => undefined); // ends with the abort
    return { events, stop: () => abort.abort() };
  };

  test("each sees what its selector takes in, and nothing else", async () => {
    const namespace = await cluster.namespace("watchers");
    const [a, b, both] = await Promise.all(
      ["watched=a", "watched=b", "watched in (a,b)"].map((labelSelector) => watching(cluster, configmaps, { namespace, labelSelector })),
    );
    await create(namespace, "one", "a");
    await mutate(namespace, "one", "1");
    await create(namespace, "two", "b");
    await cluster.client.delete(configmaps, { namespace, name: "one" });
    await cluster.client.delete(configmaps, { namespace, name: "two" });
    await cluster.until("all has been seen", async () => both?.events.length === 5);
    const ofOne = ["ADDED one", "MODIFIED one 1", "DELETED one 1"];
    expect(steps(a?.events ?? [])).toEqual(ofOne);
    expect(steps(b?.events ?? [])).toEqual(["ADDED two", "DELETED two"]);
    expect(steps(both?.events ?? [])).toEqual(["ADDED one", "MODIFIED one 1", "ADDED two", "DELETED one 1", "DELETED two"]);
    for (const watch of [a, b, both]) watch?.stop();
  });

  test("begin after a revision, also the last that another one has seen", async () => {
    const namespace = await cluster.namespace("watch-from");
    const { metadata } = await create(namespace, "one", "a");
    const first = await mutate(namespace, "one", "1");
    await mutate(namespace, "one", "2");
    const early = await from(namespace, first.metadata.resourceVersion ?? "", "watched=a");
    await cluster.until("the second change", async () => early.events.length === 1);
    early.stop();
    expect(steps(early.events)).toEqual(["MODIFIED one 2"]);
    await mutate(namespace, "one", "3");
    await cluster.client.delete(configmaps, { namespace, name: "one" });
    const [last] = early.events;
    const resumed = await from(namespace, last?.object.metadata.resourceVersion ?? "", "watched=a");
    await cluster.until("the rest", async () => resumed.events.length === 2);
    resumed.stop();
    expect(steps(resumed.events)).toEqual(["MODIFIED one 3", "DELETED one 3"]);
    expect(last?.object).toMatchObject({ metadata: { uid: metadata.uid } });
  });

  test("tell of an object that leaves the selector as deleted, and not again until it is back", async () => {
    const namespace = await cluster.namespace("watch-selector");
    const watch = await watching(cluster, configmaps, { namespace, labelSelector: "watched=yes" });
    await create(namespace, "one", "yes");
    await mutate(namespace, "one", "1");
    await mutate(namespace, "one", "2", "no");
    await mutate(namespace, "one", "3");
    await mutate(namespace, "one", "4", "yes");
    await cluster.client.delete(configmaps, { namespace, name: "one" });
    await cluster.until("the end", async () => watch.events.length === 5);
    expect(steps(watch.events)).toEqual(["ADDED one", "MODIFIED one 1", "DELETED one 1", "ADDED one 4", "DELETED one 4"]);
    watch.stop();
  });

  test("from different revisions show the same events in the same order", async () => {
    const namespace = await cluster.namespace("watch-order");
    const all = await watching(cluster, configmaps, { namespace, labelSelector: "watched=order" });
    const writes: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++)
      writes.push(create(namespace, `m${i}`, "order").then(() => (i % 3 === 0 ? mutate(namespace, `m${i}`, "1") : undefined)));
    await Promise.all(writes);
    for (let i = 0; i < 30; i += 5) await cluster.client.delete(configmaps, { namespace, name: `m${i}` });
    await cluster.until("all 46 events", async () => all.events.length === 46);
    const revisions = all.events.map(({ object }) => object.metadata.resourceVersion ?? "");
    for (const start of [0, 7, 20, 33]) {
      const later = await from(namespace, revisions[start] ?? "", "watched=order");
      await cluster.until("the rest", async () => later.events.length === revisions.length - start - 1);
      later.stop();
      expect(later.events.map(({ object }) => object.metadata.resourceVersion)).toEqual(revisions.slice(start + 1));
    }
    all.stop();
  });
});

describe("lists in chunks", () => {
  const total = 100;
  const limit = 17;
  let namespace = "";
  beforeAll(async () => {
    namespace = await cluster.namespace("chunks");
    for (let i = 0; i < total; i++)
      await cluster.client.create(podtemplates, {
        metadata: { name: `template-${String(i).padStart(4, "0")}`, namespace },
        template: template({ a: "b" }),
      });
  });

  test("are consistent, and tell how many are left", async () => {
    const names: (string | undefined)[] = [];
    let next: string | undefined;
    let revision: string | undefined;
    do {
      const page = await cluster.client.list(podtemplates, { namespace, limit, ...(next ? { continue: next } : {}) });
      names.push(...page.items.map(({ metadata }) => metadata.name));
      revision ??= page.metadata.resourceVersion;
      expect(page.metadata.resourceVersion).toBe(revision);
      expect(page.metadata.remainingItemCount ?? 0).toBe(total - names.length);
      next = page.metadata.continue;
    } while (next);
    expect(names).toEqual((await cluster.client.list(podtemplates, { namespace })).items.map(({ metadata }) => metadata.name));
    expect(names).toHaveLength(total);
  });

  test("go on after the revision has been compacted, from the last key, when the client takes that", async () => {
    const first = await cluster.client.list(podtemplates, { namespace, limit });
    const token = first.metadata.continue ?? "";
    const inconsistent = await cluster.until(
      "the revision is compacted",
      async () => {
        const annotations = { at: String(cluster.clock.now()) };
        await cluster.client.patch(podtemplates, { namespace, name: "template-0000" }, { metadata: { annotations } }, { type: "merge" });
        await cluster.pass(20_000);
        try {
          await cluster.client.list(podtemplates, { namespace, limit, continue: token });
          return undefined;
        } catch (error) {
          if (!isStatus(error, "Expired")) throw error;
          return (error.status as { readonly metadata?: { readonly continue?: string } }).metadata?.continue;
        }
      },
      12 * 60_000,
    );
    const second = await cluster.client.list(podtemplates, { namespace, limit, continue: inconsistent });
    expect(second.items[0]?.metadata.name).toBe(`template-${String(limit).padStart(4, "0")}`);
    expect(second.metadata.remainingItemCount).toBe(total - 2 * limit);
    let seen = first.items.length + second.items.length;
    for (let next = second.metadata.continue; next; ) {
      const page = await cluster.client.list(podtemplates, { namespace, limit, continue: next });
      expect(page.metadata.resourceVersion).toBe(second.metadata.resourceVersion);
      seen += page.items.length;
      next = page.metadata.continue;
    }
    expect(seen).toBe(total);
  });
});

describe("discovery", () => {
  interface Group {
    readonly name: string;
    readonly preferredVersion: { readonly groupVersion: string; readonly version: string };
    readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
  }

  test("names the preferred version of each group, its versions, and a resource in each", async () => {
    const { groups } = (await raw("/apis")) as { groups: readonly Group[] };
    expect(groups.length).toBeGreaterThanOrEqual(20);
    for (const { name, preferredVersion, versions } of groups) {
      expect(versions[0]?.groupVersion).toBe(preferredVersion.groupVersion);
      const single = (await raw(`/apis/${name}`)) as Group & { kind: string };
      expect(single).toMatchObject({ kind: "APIGroup", preferredVersion });
      for (const { groupVersion } of versions) {
        const found = (await raw(`/apis/${groupVersion}`)) as {
          groupVersion: string;
          resources: readonly { name: string; verbs: readonly string[] }[];
        };
        expect(found.groupVersion).toBe(groupVersion);
        expect(found.resources.filter((resource) => resource.verbs.length > 0).length).toBeGreaterThan(0);
      }
    }
    expect(await raw("/version")).toMatchObject({ major: "1", minor: "36", gitVersion: expect.stringMatching(/^v1\.36\./) });
  });

  test("has definitions where they are looked for, and all resources at once for those who ask for that", async () => {
    expect(await raw("/apis/apiextensions.k8s.io/v1")).toMatchObject({
      resources: expect.arrayContaining([expect.objectContaining({ name: "customresourcedefinitions", kind: "CustomResourceDefinition" })]),
    });
    await established("aggregated.example.com", "Aggregate");
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (const path of ["/api", "/apis"]) {
      const found = (await raw(path, accept)) as {
        kind: string;
        items: readonly {
          metadata: { name?: string };
          versions: readonly { version: string; resources: readonly { resource: string }[] }[];
        }[];
      };
      expect(found.kind).toBe("APIGroupDiscoveryList");
      const of = (group: string) =>
        found.items
          .find(({ metadata }) => (metadata.name ?? "") === group)
          ?.versions.flatMap(({ version, resources }) => resources.map(({ resource }) => `${version}/${resource}`));
      if (path === "/api") expect(of("")).toEqual(expect.arrayContaining(["v1/pods", "v1/namespaces"]));
      else
        expect([...(of("apps") ?? []), ...(of("aggregated.example.com") ?? [])]).toEqual(
          expect.arrayContaining(["v1/deployments", "v1/aggregates"]),
        );
    }
  });

  test("a table of what has no metadata is not acceptable", async () => {
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const spec = { nonResourceAttributes: { path: "/", verb: "get" } };
    const body = JSON.stringify({ apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec });
    expect((await send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, { accept })).code).toBe(406);
  });
});

describe("objects", () => {
  const invalid = (error: unknown): boolean => isStatus(error, "Invalid");

  test("ConfigMaps and Secrets have no empty keys, and stay as they are once they are immutable", async () => {
    const namespace = await cluster.namespace("keys");
    await expect(cluster.client.create(configmaps, { metadata: { name: "empty", namespace }, data: { "": "v" } })).rejects.toSatisfy(
      invalid,
    );
    await expect(cluster.client.create(secrets, { metadata: { name: "empty", namespace }, data: { "": "dg==" } })).rejects.toSatisfy(
      invalid,
    );
    for (const [type, fields] of [
      [configmaps, { data: { a: "1" } }],
      [secrets, { data: { a: "MQ==" } }],
    ] as const) {
      const at = { namespace, name: "fixed" };
      // The two differ in nothing that is looked at here.
      const kind = type as typeof configmaps;
      await cluster.client.create(kind, { metadata: at, ...fields });
      await cluster.client.patch(kind, at, { data: { b: "Mg==" } }, { type: "merge" });
      await cluster.client.patch(kind, at, { immutable: true }, { type: "merge" });
      await expect(cluster.client.patch(kind, at, { data: { b: "Mw==" } }, { type: "merge" })).rejects.toSatisfy(invalid);
      await expect(cluster.client.patch(kind, at, { immutable: false }, { type: "merge" })).rejects.toSatisfy(invalid);
      expect((await cluster.client.patch(kind, at, { metadata: { labels: { a: "b" } } }, { type: "merge" })).immutable).toBe(true);
      await cluster.client.delete(kind, at);
    }
  });

  test("pods keep inline volumes of CSI drivers as they were written", async () => {
    const namespace = await cluster.namespace("csi-inline");
    await cluster.client.create(csidrivers, { metadata: { name: "inline.example.com" }, spec: { volumeLifecycleModes: ["Ephemeral"] } });
    const csi = { driver: "inline.example.com", readOnly: true, fsType: "ext4", volumeAttributes: { a: "b" } };
    const spec = { containers: [{ name: "c", image: "i", volumeMounts: [{ name: "v", mountPath: "/v" }] }], volumes: [{ name: "v", csi }] };
    await cluster.client.create(pods, { metadata: { name: "p", namespace }, spec });
    const { items } = await cluster.client.list(pods, { namespace });
    expect(items.map((pod) => pod.spec.volumes?.find(({ name }) => name === "v")?.csi)).toEqual([csi]);
    await cluster.client.delete(pods, { namespace, name: "p" });
    await cluster.client.delete(csidrivers, { name: "inline.example.com" });
  });
});

type Version = CustomResourceDefinition["spec"]["versions"][number];
const open = { openAPIV3Schema: { type: "object" as const, "x-kubernetes-preserve-unknown-fields": true } };
const version = (name: string, more: Partial<Version> = {}): Version => ({ name, served: true, storage: true, schema: open, ...more });

async function established(
  group: string,
  kind: string,
  { versions = [version("v1")], labels = {} }: { readonly versions?: readonly Version[]; readonly labels?: Record<string, string> } = {},
): Promise<{ readonly name: string; readonly path: (version?: string) => string }> {
  const plural = `${kind.toLowerCase()}s`;
  const name = `${plural}.${group}`;
  await cluster.client.create(customresourcedefinitions, {
    metadata: { name, labels },
    spec: { group, scope: "Cluster", names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` }, versions },
  });
  await cluster.until(`${name} is established`, async () => {
    const { status } = await cluster.client.get(customresourcedefinitions, { name });
    return status?.conditions?.some(({ type, status }) => type === "Established" && status === "True");
  });
  return { name, path: (version = "v1") => `/apis/${group}/${version}/${plural}` };
}

describe("definitions", () => {
  test("are listed, watched and deleted, one and by label", async () => {
    const watch = await watching(cluster, customresourcedefinitions, { labelSelector: "set=listed" });
    const names: string[] = [];
    for (const kind of ["First", "Second", "Third"])
      names.push((await established("listed.example.com", kind, { labels: { set: "listed" } })).name);
    const other = await established("listed.example.com", "Other");
    const list = async () =>
      (await cluster.client.list(customresourcedefinitions, { labelSelector: "set=listed" })).items.map(({ metadata }) => metadata.name);
    expect(await list()).toEqual([...names].sort());
    await cluster.client.delete(customresourcedefinitions, { name: names[0] ?? "" });
    await cluster.client.deleteCollection(customresourcedefinitions, { labelSelector: "set=listed" });
    await cluster.until("they are gone", async () => (await list()).length === 0);
    expect((await cluster.client.get(customresourcedefinitions, other)).metadata.name).toBe(other.name);
    await cluster.until("the watch has seen it", async () => watch.events.filter(({ type }) => type === "DELETED").length === 3);
    watch.stop();
  });

  test("their status is read, written and patched apart", async () => {
    const { name } = await established("status.example.com", "Reported");
    const condition = {
      type: "StatusUpdate",
      status: "True" as const,
      reason: "E2E",
      message: "by a test",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const current = await cluster.client.getSubresource<CustomResourceDefinition>(customresourcedefinitions, {
      name,
      subresource: "status",
    });
    const conditions = [...(current.status?.conditions ?? []), condition];
    const written = await cluster.client.updateStatus(customresourcedefinitions, {
      ...current,
      status: { ...current.status, conditions },
    } as CustomResourceDefinition);
    expect(written.status?.conditions).toContainEqual(condition);
    const patch = { status: { conditions: [...conditions, { ...condition, type: "StatusPatched" }] } };
    const patched = await cluster.client.patch(customresourcedefinitions, { name }, patch, { type: "merge", subresource: "status" });
    expect(patched.status?.conditions?.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["Established", "StatusUpdate", "StatusPatched"]),
    );
  });

  test("defaults are there for what is written and what had been stored without", async () => {
    const schema = (a?: string, b?: string): Version["schema"] => {
      const field = (value?: string) => ({ type: "string" as const, ...(value === undefined ? {} : { default: value }) });
      return { openAPIV3Schema: { type: "object", properties: { a: field(a), b: field(b) } } };
    };
    const { name, path } = await established("defaults.example.com", "Defaulted", {
      versions: [version("v1", { schema: schema() as NonNullable<Version["schema"]> })],
    });
    const create = (name: string) =>
      cluster.client.raw("POST", path(), { body: { apiVersion: "defaults.example.com/v1", kind: "Defaulted", metadata: { name } } });
    const redefine = (of: Version["schema"]) =>
      cluster.client.patch(customresourcedefinitions, { name }, [{ op: "replace", path: "/spec/versions/0/schema", value: of }], {
        type: "json",
      });
    expect(await create("before")).not.toHaveProperty("a");
    await redefine(schema("A"));
    await cluster.until("the default is there", async () => ((await raw(`${path()}/before`)) as { a?: string }).a === "A");
    expect(await create("between")).toMatchObject({ a: "A" });
    await redefine(schema(undefined, "B"));
    await cluster.until("the other default is there", async () => ((await raw(`${path()}/between`)) as { b?: string }).b === "B");
    expect(await raw(`${path()}/between`)).toMatchObject({ a: "A", b: "B" }); // what was written with a default keeps it
    expect(await raw(`${path()}/before`)).not.toHaveProperty("a");
  });

  test("are published as OpenAPI, for groups, versions and kinds, and follow renames and what is no longer served", async () => {
    const typed: NonNullable<Version["schema"]> = {
      openAPIV3Schema: {
        type: "object",
        properties: { spec: { type: "object", description: "What is wanted", properties: { size: { type: "integer" } } } },
      },
    };
    const two = [version("v2", { schema: typed }), version("v1", { storage: false, schema: typed })];
    const { name } = await established("published.example.com", "Many", { versions: two });
    await established("published.example.com", "Other", { versions: [version("v2", { schema: typed })] });
    await established("elsewhere.example.com", "Many");
    const definitions = async () =>
      Object.keys(((await raw("/openapi/v2")) as { definitions: object }).definitions)
        .filter((key) => /example\.(published|elsewhere)\./.test(key))
        .sort();
    let has: readonly string[] = [];
    const published = (...keys: string[]) =>
      cluster.until(`${keys} are published`, async () => {
        has = await definitions();
        return keys.every((key) => has.includes(key));
      });
    await published(
      "com.example.published.v1.Many",
      "com.example.published.v2.Many",
      "com.example.published.v2.Other",
      "com.example.elsewhere.v1.Many",
    );
    const all = ((await raw("/openapi/v2")) as { definitions: Record<string, { properties?: { spec?: unknown } }> }).definitions;
    expect(all["com.example.published.v2.Many"]?.properties?.spec).toMatchObject({ description: "What is wanted" });
    await cluster.client.patch(
      customresourcedefinitions,
      { name },
      { spec: { versions: [two[0], { ...two[1], name: "v3" }] } },
      { type: "merge" },
    );
    await published("com.example.published.v3.Many");
    expect(has).not.toContain("com.example.published.v1.Many");
    await cluster.client.patch(
      customresourcedefinitions,
      { name },
      { spec: { versions: [two[0], { ...two[1], name: "v3", served: false }] } },
      { type: "merge" },
    );
    await cluster.until("v3 is no longer published", async () => !(await definitions()).includes("com.example.published.v3.Many"));
    expect(await definitions()).toContain("com.example.published.v2.Many");
    // The index names no type of its own: it is text.
    const { paths } = JSON.parse(String(await raw("/openapi/v3"))) as { paths: object };
    expect(Object.keys(paths)).toEqual(expect.arrayContaining(["apis/published.example.com/v2", "apis/elsewhere.example.com/v1"]));
  });
});

describe("fields that are not known, or twice there", () => {
  const strict = "?fieldValidation=Strict";
  const deployment = (more: string, metadata = "") =>
    `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"strict"${metadata}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}${more}}}`;
  const path = "/apis/apps/v1/namespaces/default/deployments";
  const applyType = "application/apply-patch+yaml";
  const refused = { code: 400, text: expect.stringContaining("strict decoding error") };

  test("are refused in typed objects, in their metadata too", async () => {
    const unknown = await send("POST", path + strict, deployment(',"unknown":"x","paused":true,"paused":true'));
    expect(unknown).toMatchObject(refused);
    expect(unknown.text).toContain('unknown field \\"spec.unknown\\"');
    expect(unknown.text).toContain('duplicate field \\"spec.paused\\"');
    const inMetadata = await send("POST", path + strict, deployment("", ',"unknownMeta":"x"'));
    expect(inMetadata).toMatchObject(refused);
    expect(inMetadata.text).toContain('unknown field \\"metadata.unknownMeta\\"');
    const applied = await send("PATCH", `${path}/strict?fieldManager=t&fieldValidation=Strict`, deployment(',"unknown":"x"'), applyType);
    expect(applied.code).toBeGreaterThanOrEqual(400);
    expect(applied.text).toContain(".spec.unknown: field not declared in schema");
    expect((await send("POST", `${path}?fieldValidation=Strict&dryRun=All`, deployment(""))).code).toBe(201);
  });

  test("custom resources: by their schema, and duplicates also where anything may be", async () => {
    const closed: NonNullable<Version["schema"]> = {
      openAPIV3Schema: {
        type: "object",
        properties: {
          spec: { type: "object", properties: { size: { type: "integer" } } },
          embedded: { type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    };
    const anything = await established("open.example.com", "Open");
    const checked = await established("closed.example.com", "Closed", { versions: [version("v1", { schema: closed })] });
    const object = (kind: string, name: string, more: string, metadata = "") =>
      `{"apiVersion":"${kind.toLowerCase()}.example.com/v1","kind":"${kind}","metadata":{"name":"${name}"${metadata}}${more}}`;
    const post = (of: typeof anything, body: string) => send("POST", of.path() + strict, body);
    const apply = (of: typeof anything, name: string, body: string) =>
      send("PATCH", `${of.path()}/${name}?fieldManager=t&fieldValidation=Strict`, body, "application/apply-patch+yaml");
    expect((await post(anything, object("Open", "a", ',"anything":{"goes":true}'))).code).toBe(201);
    expect((await apply(anything, "b", object("Open", "b", ',"anything":{"goes":true}'))).code).toBe(201);
    expect(await post(anything, object("Open", "c", ',"twice":1,"twice":2'))).toMatchObject(refused);
    expect((await post(checked, object("Closed", "a", ',"spec":{"size":1}'))).code).toBe(201);
    expect((await apply(checked, "b", object("Closed", "b", ',"spec":{"size":1}'))).code).toBe(201);
    const extra = await post(checked, object("Closed", "c", ',"spec":{"size":1,"extra":2}'));
    expect(extra).toMatchObject(refused);
    expect(extra.text).toContain('unknown field \\"spec.extra\\"');
    expect((await apply(checked, "b", object("Closed", "b", ',"spec":{"extra":2}'))).text).toContain(
      ".spec.extra: field not declared in schema",
    );
    const embedded = ',"embedded":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","unknownSub":"y"}}';
    const metadata = await post(checked, object("Closed", "d", embedded, ',"unknownRoot":"z"'));
    expect(metadata).toMatchObject(refused);
    expect(metadata.text).toContain('unknown field \\"metadata.unknownRoot\\"');
    expect(metadata.text).toContain('unknown field \\"embedded.metadata.unknownSub\\"');
  });
});
