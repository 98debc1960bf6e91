import { describe, expect, it } from "vitest";
import { decodeObject } from "../../encode/decode.ts";
import type { KubernetesObject } from "../../meta/object.ts";
import { StatusError } from "../../meta/status-error.ts";
import { schemaOfKind } from "../../schema/schema.ts";
import type { ManagedFieldsEntry } from "../../types/meta-v1.ts";
import { type ApplyContext, applyPatch } from "./apply.ts";
import { setOf } from "./field-set.ts";
import { deduced, type Shape, shapeOf } from "./shape.ts";
import { updateManagedFields } from "./update.ts";

type Any = KubernetesObject & Readonly<Record<string, unknown>>;

/** One object on a server that does nothing but decode and keep track of ownership. */
class Server {
  object: Any | undefined;
  readonly #schema;
  readonly #shape: Shape;
  readonly #kind;
  #seconds = 0;

  constructor(group: string, version: string, kind: string, shape?: Shape) {
    this.#kind = { group, version, kind };
    this.#schema = schemaOfKind(group === "" ? version : `${group}/${version}`, kind);
    this.#shape = shape ?? (this.#schema ? shapeOf(this.#schema) : deduced);
  }

  get #base(): object {
    const { group, version, kind } = this.#kind;
    return { apiVersion: group === "" ? version : `${group}/${version}`, kind };
  }

  #decode(value: object): Any {
    return (this.#schema ? decodeObject(this.#schema, value).object : { metadata: {}, ...value }) as Any;
  }

  #context(manager: string, more: Partial<ApplyContext>): ApplyContext {
    const now = `2026-01-01T00:00:${String(this.#seconds++).padStart(2, "0")}Z`;
    return { shape: this.#shape, kind: this.#kind, empty: this.#decode(this.#base), manager, now, ...more };
  }

  #store(object: Any): this {
    this.object = { ...object, metadata: { ...object.metadata, uid: "u" } };
    return this;
  }

  apply(manager: string, fields: object, more: Partial<ApplyContext> = {}): this {
    const context = this.#context(manager, more);
    const applied = { metadata: { name: "a" }, ...this.#base, ...fields } as unknown as KubernetesObject;
    return this.#store(this.#decode(applyPatch(this.object ?? context.empty, applied, context)));
  }

  put(manager: string, fields: object, more: Partial<ApplyContext> = {}): this {
    const context = this.#context(manager, more);
    const live = this.object ?? context.empty;
    const metadata = { name: "a", ...(this.object ? { uid: "u" } : {}), ...(fields as Partial<Any>).metadata };
    return this.#store(updateManagedFields(live, this.#decode({ ...this.#base, ...fields, metadata }), context));
  }

  /** "manager Operation": fieldsV1. */
  get owners(): Record<string, unknown> {
    const entries: readonly ManagedFieldsEntry[] = this.object?.metadata.managedFields ?? [];
    return Object.fromEntries(entries.map((e) => [`${e.manager} ${e.operation}${e.subresource ? ` ${e.subresource}` : ""}`, e.fieldsV1]));
  }
}

const configMap = (): Server => new Server("", "v1", "ConfigMap");
const pod = (): Server => new Server("", "v1", "Pod");
const fields = (...keys: string[]): object => ({ "f:data": Object.fromEntries(keys.map((key) => [key === "." ? key : `f:${key}`, {}])) });

function refusal(action: () => unknown): StatusError {
  try {
    action();
  } catch (error) {
    if (error instanceof StatusError) return error;
    throw error;
  }
  throw new Error("this was accepted");
}

describe("applyPatch()", () => {
  it("creates an object that belongs to its applier", () => {
    const server = configMap().apply("m1", { data: { x: "1" } });
    expect(server.object).toMatchObject({ data: { x: "1" } });
    expect(server.object?.metadata.managedFields).toEqual([
      { manager: "m1", operation: "Apply", apiVersion: "v1", time: "2026-01-01T00:00:00Z", fieldsType: "FieldsV1", fieldsV1: fields("x") },
    ]);
  });

  it("keeps the time of the entry when nothing changes", () => {
    const server = configMap().apply("m1", { data: { x: "1" } });
    const before = server.object?.metadata.managedFields;
    expect(server.apply("m1", { data: { x: "1" } }).object?.metadata.managedFields).toEqual(before);
  });

  it("refuses to change what another manager owns and names every field", () => {
    const server = configMap().apply("m1", { metadata: { name: "a", labels: { l: "1" } }, data: { x: "1", y: "1" } });
    const one = refusal(() => server.apply("m2", { data: { x: "2" } }));
    expect(one.message).toBe('Apply failed with 1 conflict: conflict with "m1": .data.x');
    expect(one.status).toMatchObject({
      code: 409,
      reason: "Conflict",
      details: { causes: [{ reason: "FieldManagerConflict", message: 'conflict with "m1"', field: ".data.x" }] },
    });
    const three = refusal(() => server.apply("m2", { metadata: { name: "a", labels: { l: "2" } }, data: { x: "2", y: "2" } }));
    expect(three.message).toBe('Apply failed with 3 conflicts: conflicts with "m1":\n- .data.x\n- .data.y\n- .metadata.labels.l');
  });

  it("says how an updater came to own a field", () => {
    const server = configMap().put("creator", { data: { x: "1" } });
    expect(refusal(() => server.apply("m1", { data: { x: "2" } })).message).toBe(
      'Apply failed with 1 conflict: conflict with "creator" using v1: .data.x',
    );
  });

  it("takes fields over when forced, and shares those with the same value", () => {
    const server = configMap()
      .apply("m1", { data: { x: "1", y: "1" } })
      .apply("m2", { data: { x: "2" } }, { force: true });
    expect(server.owners).toEqual({ "m1 Apply": fields("y"), "m2 Apply": fields("x") });
    server.apply("m1", { data: { y: "1", x: "2" } });
    expect(server.owners).toEqual({ "m1 Apply": fields("x", "y"), "m2 Apply": fields("x") });
  });

  it("removes what is applied no more unless someone else owns it", () => {
    const server = configMap()
      .apply("m1", { data: { x: "1", y: "2" } })
      .apply("m2", { data: { x: "1" } });
    expect(server.apply("m1", { data: { y: "2" } }).object).toMatchObject({ data: { x: "1", y: "2" } });
    expect(server.apply("m2", {}).object?.data).toEqual({ y: "2" });
    expect(server.apply("m1", {}).object).not.toHaveProperty("data");
    expect(server.owners).toEqual({});
  });

  it("merges lists by key in the applied order, other items staying where they were", () => {
    const env = (...names: string[]): object => ({ spec: { containers: [{ name: "c", env: names.map((name) => ({ name })) }] } });
    const server = pod().apply("m1", env("A", "B")).apply("m2", env("C")).apply("m1", env("B", "A"));
    expect(server.object).toMatchObject({ spec: { containers: [{ env: [{ name: "B" }, { name: "C" }, { name: "A" }] }] } });
  });

  it("owns sets by value and atomic lists as a whole", () => {
    const server = pod().apply("m1", {
      metadata: { name: "a", finalizers: ["x.io/x"] },
      spec: { containers: [], tolerations: [{ key: "a" }] },
    });
    expect(server.owners["m1 Apply"]).toMatchObject({
      "f:metadata": { "f:finalizers": { 'v:"x.io/x"': {} } },
      "f:spec": { "f:tolerations": {} },
    });
    server.apply("m2", { metadata: { name: "a", finalizers: ["y.io/y"] } });
    expect(server.object?.metadata.finalizers).toEqual(["x.io/x", "y.io/y"]);
    expect(refusal(() => server.apply("m2", { spec: { tolerations: [{ key: "b" }] } })).message).toContain(".spec.tolerations");
  });

  it("uses the default of an absent list key", () => {
    const server = pod().apply("m1", { spec: { containers: [{ name: "c", ports: [{ containerPort: 80 }] }] } });
    expect(server.owners["m1 Apply"]).toMatchObject({
      "f:spec": { "f:containers": { 'k:{"name":"c"}': { "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {} } } } } },
    });
  });

  it("keeps the status apart by subresource", () => {
    const server = new Server("apps", "v1", "Deployment").apply("m1", { spec: { replicas: 1 } }, { resetFields: setOf(["status"]) });
    server.apply(
      "sctl",
      { status: { conditions: [{ type: "Available", status: "True" }] } },
      { subresource: "status", resetFields: setOf(["spec"]) },
    );
    expect(Object.keys(server.owners)).toEqual(["m1 Apply", "sctl Apply status"]);
    const other = refusal(() =>
      server.apply("t", { status: { conditions: [{ type: "Available", status: "False" }] } }, { subresource: "status" }),
    );
    expect(other.message).toBe(
      'Apply failed with 1 conflict: conflict with "sctl" with subresource "status": .status.conditions[type="Available"].status',
    );
  });

  it("gives the fields of an object without owners to a manager of their own", () => {
    const server = configMap()
      .put("u", { data: { x: "1", y: "2" } })
      .put("u", { metadata: { managedFields: [{}] }, data: { x: "1", y: "2" } });
    expect(server.owners).toEqual({});
    expect(refusal(() => server.apply("m1", { data: { x: "2" } })).message).toContain(
      'conflict with "before-first-apply" using v1: .data.x',
    );
    server.apply("m1", { data: { x: "1" } });
    expect(server.owners).toEqual({ "m1 Apply": fields("x"), "before-first-apply Update": fields(".", "x", "y") });
  });

  it("lets kubectl take over what it applied on the client's side", () => {
    const annotation = "kubectl.kubernetes.io/last-applied-configuration";
    const text = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { x: "1" } });
    const server = configMap().put("kubectl-client-side-apply", {
      metadata: { annotations: { [annotation]: text } },
      data: { x: "1", z: "1" },
    });
    expect(refusal(() => server.apply("other", { data: { x: "5" } })).code).toBe(409);
    expect(refusal(() => server.apply("kubectl", { data: { x: "5", z: "5" } })).message).toContain(".data.z");
    server.apply("kubectl", { data: { x: "5" } });
    expect(server.object).toMatchObject({ data: { x: "5", z: "1" } });
    expect(server.object?.metadata.annotations?.[annotation]).toBe(
      '{"apiVersion":"v1","data":{"x":"5"},"kind":"ConfigMap","metadata":{"name":"a"}}\n',
    );
  });

  it("refuses other kinds, managed fields and values of the wrong type", () => {
    const server = configMap();
    expect(refusal(() => server.apply("m", { kind: "Secret" })).message).toBe("invalid object type: /v1, Kind=Secret");
    expect(refusal(() => server.apply("m", { metadata: { name: "a", managedFields: [{}] } })).message).toBe(
      "metadata.managedFields must be nil",
    );
    expect(refusal(() => server.apply("m", { data: { x: 1 } })).message).toBe(
      "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.x: expected string, got &value.valueUnstructured{Value:1}",
    );
    expect(refusal(() => server.apply("m", { data: "text" })).message).toContain(".data: expected map, got &{text}");
    expect(refusal(() => server.apply("m", { data: 1, foo: 1 })).message).toContain(
      "errors:\n  .data: expected map, got &{1}\n  .foo: field not declared in schema",
    );
    const twice = { spec: { containers: [{ name: "c" }, { name: "c" }] } };
    expect(refusal(() => pod().apply("m", twice)).message).toContain('.spec.containers: duplicate entries for key [name="c"]');
  });

  it("deduces ownership of custom objects without a schema", () => {
    const server = new Server("example.com", "v1", "Widget").apply("m1", { spec: { a: { b: 1 }, list: [1, 2] } });
    expect(server.owners["m1 Apply"]).toEqual({ "f:spec": { ".": {}, "f:a": { ".": {}, "f:b": {} }, "f:list": {} } });
    expect(refusal(() => server.apply("m2", { spec: { list: [3] } })).message).toContain(".spec.list");
    expect(server.apply("m2", { spec: { a: { c: 2 } } }).object?.spec).toEqual({ a: { b: 1, c: 2 }, list: [1, 2] });
  });
});

describe("updateManagedFields()", () => {
  it("gives a list that was sent empty to who sent it, though it is stored as none", () => {
    const role = (): Server => new Server("rbac.authorization.k8s.io", "v1", "Role");
    const sent = role().put("u", { rules: [] });
    expect([sent.object?.["rules"], sent.owners]).toEqual([null, { "u Update": { "f:rules": {} } }]);
    expect(role().put("u", {}).owners).toEqual({});
    expect(
      role()
        .put("u", { metadata: { labels: { a: "b" } } })
        .put("v", { metadata: { labels: { a: "b" } }, rules: [] }).owners,
    ).toMatchObject({
      "v Update": { "f:rules": {} },
    });
  });

  it("gives items with the same key as one value to who repeats them", () => {
    const condition = (message: string): object => ({ type: "A", status: "True", message });
    const server = pod().put("u", { status: { conditions: [condition("a")] } });
    server.put("v", { status: { conditions: [condition("a"), condition("b")] } });
    const key = 'k:{"type":"A"}';
    expect(server.owners["v Update"]).toEqual({ "f:status": { "f:conditions": { [key]: {} } } });
    server.put("w", { status: { conditions: [condition("b")] } });
    expect(server.owners["w Update"]).toMatchObject({ "f:status": { "f:conditions": { [key]: { ".": {}, "f:message": {} } } } });
    expect(server.owners["v Update"]).toBeUndefined();
  });

  it("gives an object to nobody that has an item without any of its keys", () => {
    const account = (): Server => new Server("", "v1", "ServiceAccount");
    const keyless = { automountServiceAccountToken: true, secrets: [{ namespace: "x" }] };
    expect(account().put("a", keyless).object?.metadata.managedFields).toBeUndefined();
    const named = account().put("a", { secrets: [{ name: "s" }] });
    expect(named.put("b", keyless).object?.metadata.managedFields).toBeUndefined();
    expect(() => named.apply("c", { metadata: { name: "a", labels: { x: "y" } } })).toThrow(
      'failed to create manager for existing fields: failed to convert new object (/a; /v1, Kind=ServiceAccount) to smd typed: .secrets: element 0: associative list with keys has an element that omits all key fields ["name"]',
    );
  });

  it("gives the creator all fields, with maps and new lists themselves", () => {
    const server = pod().put("u", {
      spec: { containers: [{ name: "c", image: "i", env: [{ name: "A" }] }], volumes: [{ name: "v", emptyDir: {} }] },
    });
    expect(server.owners["u Update"]).toEqual({
      "f:spec": {
        "f:containers": {
          'k:{"name":"c"}': {
            ".": {},
            "f:env": { ".": {}, 'k:{"name":"A"}': { ".": {}, "f:name": {} } },
            "f:image": {},
            "f:name": {},
            "f:resources": {},
          },
        },
        "f:volumes": { ".": {}, 'k:{"name":"v"}': { ".": {}, "f:emptyDir": {}, "f:name": {} } },
      },
    });
  });

  it("moves changed fields to the writer and drops removed ones from everybody", () => {
    const server = configMap()
      .apply("m1", { data: { x: "1", y: "1", z: "1" } })
      .put("up", { data: { x: "2", y: "1" } });
    expect(server.owners).toEqual({ "m1 Apply": fields("y"), "up Update": fields("x") });
  });

  it("collects several writes of one manager in one entry, and leaves it alone when nothing changes", () => {
    const server = configMap()
      .put("u", { data: { x: "1" } })
      .put("u", { data: { x: "1", y: "2" } });
    expect(server.owners).toEqual({ "u Update": fields(".", "x", "y") });
    const before = server.object?.metadata.managedFields;
    expect(server.put("v", { data: { x: "1", y: "2" } }).object?.metadata.managedFields).toEqual(before);
  });

  it("accepts managed fields from the client, but not malformed ones", () => {
    const server = configMap().apply("m1", { data: { x: "1" } });
    const entry = { manager: "z", operation: "Apply", apiVersion: "v1", fieldsType: "FieldsV1", fieldsV1: fields("x") };
    server.put("p", { metadata: { managedFields: [{ ...entry, operation: "Other" }] }, data: { x: "1" } });
    expect(Object.keys(server.owners)).toEqual(["m1 Apply"]);
    server.put("p", { metadata: { managedFields: [entry] }, data: { x: "1" } });
    expect(Object.keys(server.owners)).toEqual(["z Apply"]);
  });

  it("merges the oldest updaters beyond ten", () => {
    const server = configMap();
    const data: Record<string, string> = {};
    for (let i = 0; i < 12; i++) {
      data[`k${i}`] = "v";
      server.put(`u${String(i).padStart(2, "0")}`, { data: { ...data } });
    }
    expect(Object.keys(server.owners)).toHaveLength(10);
    expect(server.owners["ancient-changes Update"]).toEqual(fields(".", "k0", "k1", "k2"));
    expect(server.owners).not.toHaveProperty("u02 Update");
  });

  it("does not look into what both versions share", () => {
    const spec = new Proxy({}, { ownKeys: () => expect.fail("shared values must not be walked") });
    const live = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, spec } as unknown as KubernetesObject;
    const context = { shape: deduced, manager: "m", now: "2026-01-01T00:00:00Z" };
    const updated = updateManagedFields(live, { ...live, data: "x" } as unknown as KubernetesObject, context);
    expect(updated.metadata.managedFields?.[0]?.fieldsV1).toEqual({ "f:data": {} });
  });
});
