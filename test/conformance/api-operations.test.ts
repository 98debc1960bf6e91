// What every client does with every kind, on a server in a process of its own: discover, create, read, list by labels, watch,
// patch in all forms, update, write the status, delete one and a collection. What a kind does besides is tested elsewhere.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import { isStatus } from "../../src/api/meta/status-error.ts";
import { namespaces } from "../../src/api/resources.generated.ts";
import type { ObjectMeta } from "../../src/api/types/meta-v1.ts";
import type { Client, WatchEvent } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import type { Transport } from "../../src/client/transport.ts";
import { type ApiServerProcess, adminTransport, startApiServerProcess } from "../support/apiserver-process.ts";
import { until } from "../support/processes.ts";
import { type Sample, samples } from "./sample-objects.ts";

const namespace = "operations";
let server: ApiServerProcess;
let transport: Transport;
let client: Client;

beforeAll(async () => {
  // Nobody gives pods' service accounts their tokens here, and nobody else touches the objects.
  server = await startApiServerProcess(["--disable-admission-plugins=ServiceAccount"]);
  transport = await adminTransport(server.dataDir);
  client = createClient(transport);
  await client.create(namespaces, { metadata: { name: namespace }, spec: {} });
}, 60_000);

afterAll(async () => {
  await transport.close();
  await server.stop();
});

type Written = KubernetesObject & Readonly<Record<string, unknown>>;

const nameOf = ({ type, name = "sample" }: Sample): string => (type.kind === "Namespace" ? "operations-sample" : name);
const place = ({ type }: Sample): { readonly namespace?: string } => (type.namespaced ? { namespace } : {});
const groupVersionOf = ({ type }: Sample): string => (type.group === "" ? type.version : `${type.group}/${type.version}`);

function objectOf(sample: Sample, name: string, fields = sample.fields): Written {
  const metadata = { name, ...place(sample), labels: { operations: sample.type.kind.toLowerCase() } };
  return { apiVersion: groupVersionOf(sample), kind: sample.type.kind, metadata, ...fields } as unknown as Written;
}

/** Everything a watch of the sample's objects has shown. */
async function watched(sample: Sample, resourceVersion: string): Promise<{ readonly events: WatchEvent<Written>[]; stop(): void }> {
  const events: WatchEvent<Written>[] = [];
  const abort = new AbortController();
  const labelSelector = `operations=${sample.type.kind.toLowerCase()}`;
  const batches = await client.watch(sample.type, { ...place(sample), labelSelector, resourceVersion, signal: abort.signal });
  void (async () => {
    for await (const batch of batches) events.push(...(batch as readonly WatchEvent<Written>[]));
  })().catch(() => undefined); // ends with the abort
  return { events, stop: () => abort.abort() };
}

const steps = (events: readonly WatchEvent<Written>[]): string[] =>
  events.map(({ type, object }) =>
    `${type} ${String((object.metadata as { annotations?: Record<string, string> }).annotations?.step ?? "")}`.trim(),
  );

async function isGone(sample: Sample, name: string): Promise<true | undefined> {
  try {
    await client.get(sample.type, { ...place(sample), name });
    return undefined;
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
    return true;
  }
}

/** Nobody runs who would take finalizers away. */
async function release(sample: Sample, name: string): Promise<void> {
  const at = { ...place(sample), name };
  if (sample.type.kind === "Namespace") {
    const left = await client.get(namespaces, at);
    await client.raw("PUT", `/api/v1/namespaces/${name}/finalize`, { body: { ...left, spec: { finalizers: [] } } });
    return;
  }
  await client.patch(sample.type, at, { metadata: { finalizers: null } }, { type: "merge" });
}

async function remove(sample: Sample, name: string): Promise<void> {
  const at = { ...place(sample), name };
  await client.delete(sample.type, at);
  if (!(await isGone(sample, name))) await release(sample, name).catch((error) => expect(isStatus(error, "NotFound")).toBe(true));
  await until(`${sample.type.kind} ${name} is gone`, () => isGone(sample, name));
}

const withMetadata = (object: Written, metadata: Partial<ObjectMeta>): Written => ({
  ...object,
  metadata: { ...object.metadata, ...metadata },
});

/** Reads, changes and writes, again when the server has written in between: it keeps conditions of its own on some kinds. */
async function changed(
  { type }: Sample,
  at: { readonly namespace?: string; readonly name: string },
  change: (object: Written) => Written,
  ofStatus = false,
): Promise<Written> {
  return until(`${type.kind} ${at.name} is written`, async () => {
    const object = change((await client.get(type, at)) as Written);
    try {
      return (await (ofStatus ? client.updateStatus(type, object) : client.update(type, object))) as Written;
    } catch (error) {
      if (!isStatus(error, "Conflict")) throw error;
      return undefined;
    }
  });
}

/** What is expected of a status to which the server may add a condition. */
function withoutOthersConditions(status: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { conditions } = status;
  return Array.isArray(conditions)
    ? { ...status, conditions: expect.arrayContaining(conditions.map((c) => expect.objectContaining(c))) }
    : status;
}

describe.each(samples.map((sample) => [`${sample.type.kind} of ${groupVersionOf(sample)}`, sample] as const))("%s", (_what, sample) => {
  const { type } = sample;
  const name = nameOf(sample);
  const at = { ...place(sample), name };

  test("is discovered with its verbs, short names and subresources", async () => {
    const path = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
    const { resources } = (await client.raw("GET", path)) as {
      resources: { name: string; kind: string; namespaced: boolean; verbs: string[] }[];
    };
    const found = resources.find((resource) => resource.name === type.resource);
    expect(found).toMatchObject({ kind: type.kind, namespaced: type.namespaced });
    expect(found?.verbs).toEqual(expect.arrayContaining(["create", "delete", "get", "list", "patch", "update", "watch"]));
    expect(resources.some((resource) => resource.name === `${type.resource}/status`)).toBe(sample.status !== undefined);
  });

  test("is created, read, listed, watched, patched, updated and deleted", async () => {
    const before = await client.list(type, place(sample));
    const watch = await watched(sample, before.metadata.resourceVersion ?? "");
    const object = objectOf(sample, name);
    await client.create(type, object, { dryRun: true });
    expect(await isGone(sample, name)).toBe(true);
    const created = await client.create(type, object);
    expect(created.metadata).toMatchObject({ name, uid: expect.stringMatching(/^[0-9a-f-]{36}$/), resourceVersion: expect.any(String) });
    await expect(client.create(type, object)).rejects.toSatisfy((error) => isStatus(error, "AlreadyExists"));
    expect((await client.get(type, at)).metadata.uid).toBe(created.metadata.uid);
    const listed = await client.list(type, { ...place(sample), labelSelector: `operations=${type.kind.toLowerCase()}` });
    expect(listed.items.map((item) => item.metadata.name)).toEqual([name]);

    const annotate = (step: string) => ({ metadata: { annotations: { step } } });
    await client.patch(type, at, annotate("merge"), { type: "merge" });
    await client.patch(type, at, annotate("strategic"), { type: "strategic" });
    await client.patch(type, at, [{ op: "replace", path: "/metadata/annotations/step", value: "json" }], { type: "json" });
    const applied = { apiVersion: groupVersionOf(sample), kind: type.kind, ...annotate("apply") };
    await client.patch(type, at, applied, { type: "apply", fieldManager: "operations", force: true });
    const updated = await changed(sample, at, (object) =>
      withMetadata(object, { annotations: { ...object.metadata.annotations, step: "update" } }),
    );
    const stale = withMetadata(updated, { resourceVersion: created.metadata.resourceVersion, annotations: {} });
    await expect(client.update(type, stale)).rejects.toSatisfy((error) => isStatus(error, "Conflict"));

    await remove(sample, name);
    await until(`the watch has seen the end of ${type.kind} ${name}`, () => watch.events.some((event) => event.type === "DELETED"));
    watch.stop();
    const seen = steps(watch.events).filter((step, i, all) => step !== all[i - 1]);
    expect(seen).toEqual(
      expect.arrayContaining([
        "ADDED",
        "MODIFIED merge",
        "MODIFIED strategic",
        "MODIFIED json",
        "MODIFIED apply",
        "MODIFIED update",
        "DELETED update",
      ]),
    );
  });

  const { status: written } = sample;
  if (written !== undefined)
    test("has a status that is written apart from the rest", async () => {
      const status = withoutOthersConditions(written);
      const created = await client.create(type, objectOf(sample, name));
      const patched = await client.patch(
        type,
        at,
        { metadata: { annotations: { step: "status" } }, status: written },
        { type: "merge", subresource: "status" },
      );
      expect(patched).toMatchObject({ status });
      expect(patched.metadata.annotations?.step).toBe(sample.statusAlone ? undefined : "status");
      expect(await client.getSubresource(type, { ...at, subresource: "status" })).toMatchObject({ status });
      // The object itself is written without it, and the status without the rest.
      expect(await changed(sample, at, ({ status: _without, ...rest }) => rest as Written)).toMatchObject({ status });
      const annotated = (object: Written): Written =>
        withMetadata(object, { annotations: { ...object.metadata.annotations, changed: "by-status" } });
      const { metadata } = await changed(sample, at, annotated, true);
      expect(metadata.uid).toBe(created.metadata.uid);
      expect(metadata.annotations?.changed).toBe(sample.statusAlone ? undefined : "by-status");
      await remove(sample, name);
    });

  test("is deleted as a collection, by label", async () => {
    const { name: second, fields } = sample.other ?? { name: `${name}-other`, fields: sample.fields };
    await client.create(type, objectOf(sample, name));
    await client.create(type, objectOf(sample, second, { ...sample.fields, ...fields }));
    const labelSelector = `operations=${type.kind.toLowerCase()}`;
    if (type.verbs.includes("deletecollection")) await client.deleteCollection(type, { ...place(sample), labelSelector });
    const { items } = await client.list(type, { ...place(sample), labelSelector });
    for (const item of items) await remove(sample, item.metadata.name ?? "");
    for (const each of [name, second]) expect(await isGone(sample, each)).toBe(true);
  });
});
