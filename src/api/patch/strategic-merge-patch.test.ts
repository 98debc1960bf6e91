import { describe, expect, it } from "vitest";
import { isStatus } from "../meta/status-error.ts";
import { builtInSchemas } from "../schema/schema.ts";
import { applyStrategicMergePatch, spentStrategicPatch } from "./strategic-merge-patch.ts";

const podSpec = builtInSchemas.get("core-v1.PodSpec");
const meta = builtInSchemas.get("meta-v1.ObjectMeta");
const deploymentSpec = builtInSchemas.get("apps-v1.DeploymentSpec");

const c = { name: "c", image: "c:1", ports: [{ containerPort: 80 }], env: [{ name: "A", value: "1" }] };
const d = { name: "d", image: "d:1" };
const spec = { containers: [c, d], nodeSelector: { a: "1" }, tolerations: [{ key: "a" }] };
const patched = (patch: unknown): unknown => applyStrategicMergePatch(spec, patch, podSpec);

describe("applyStrategicMergePatch()", () => {
  it("refuses lists of unlike items, and adds an item whose key is null as it is", () => {
    expect(() => patched({ containers: [null] })).toThrow(/^list element types are not identical: \[\[map\[.*\]\] \[<nil>\]\]$/);
    expect(patched({ containers: [{ name: null }] })).toMatchObject({ containers: [{ name: null }, c, d] });
  });

  it("merges lists by their merge key, patched items in the patch's order", () => {
    expect(patched({ containers: [{ name: "c", image: "c:2" }] })).toMatchObject({ containers: [{ ...c, image: "c:2" }, d] });
    expect(patched({ containers: [{ name: "e", image: "e:1" }] })).toMatchObject({ containers: [{ name: "e" }, c, d] });
    expect(patched({ containers: [{ name: "d", image: "d:2" }, { name: "c" }] })).toMatchObject({ containers: [{ image: "d:2" }, c] });
    expect(patched({ containers: [{ name: "c", ports: [{ containerPort: 80, name: "web" }, { containerPort: 81 }] }] })).toMatchObject({
      containers: [{ ports: [{ containerPort: 80, name: "web" }, { containerPort: 81 }] }, d],
    });
  });

  it("merges maps and replaces lists that are not merged", () => {
    expect(patched({ nodeSelector: { b: "2", a: null }, tolerations: [{ key: "b" }] })).toMatchObject({
      nodeSelector: { b: "2" },
      tolerations: [{ key: "b" }],
    });
  });

  it("obeys $patch in maps and list items", () => {
    expect(patched({ nodeSelector: { $patch: "replace", z: "1" } })).toMatchObject({ nodeSelector: { z: "1" } });
    expect(patched({ nodeSelector: { $patch: "delete" } })).toMatchObject({ nodeSelector: {} });
    expect(patched({ containers: [{ name: "c", $patch: "delete" }] })).toMatchObject({ containers: [d] });
    expect(patched({ containers: [{ name: "o", image: "o:1" }, { $patch: "replace" }] })).toMatchObject({ containers: [{ name: "o" }] });
    expect(applyStrategicMergePatch({}, { nodeSelector: { $patch: "replace", z: "1" } }, podSpec)).toEqual({});
  });

  it("obeys $retainKeys", () => {
    const volumes = [{ name: "v", emptyDir: {} }];
    const patch = { volumes: [{ name: "v", $retainKeys: ["name", "configMap"], configMap: { name: "x" } }] };
    expect(applyStrategicMergePatch({ volumes }, patch, podSpec)).toEqual({ volumes: [{ name: "v", configMap: { name: "x" } }] });
    const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } };
    expect(applyStrategicMergePatch({ strategy }, { strategy: { $retainKeys: ["type"], type: "Recreate" } }, deploymentSpec)).toEqual({
      strategy: { type: "Recreate" },
    });
    expect(() => patched({ $retainKeys: ["a"], hostNetwork: true })).toThrow("invalid patch format of retainKeys");
  });

  it("merges sets, deletes from them and orders them", () => {
    const object = { finalizers: ["a", "b"] };
    const apply = (patch: object): unknown => applyStrategicMergePatch(object, patch, meta);
    expect(apply({ finalizers: ["c"] })).toEqual({ finalizers: ["c", "a", "b"] });
    expect(apply({ finalizers: ["b", "a"] })).toEqual({ finalizers: ["b", "a"] });
    expect(apply({ "$deleteFromPrimitiveList/finalizers": ["a"] })).toEqual({ finalizers: ["b"] });
    expect(apply({ "$setElementOrder/finalizers": ["b", "c", "a"], finalizers: ["c"] })).toEqual({ finalizers: ["b", "c", "a"] });
    expect(apply({ "$setElementOrder/finalizers": ["b", "a"] })).toEqual({ finalizers: ["b", "a"] });
  });

  it("puts the server's own items where they were when an order is given", () => {
    const object = { containers: [{ name: "x" }, { name: "c" }, { name: "d" }] };
    const patch = {
      "$setElementOrder/containers": [{ name: "d" }, { name: "n" }, { name: "c" }],
      containers: [{ name: "n", image: "n:1" }],
    };
    expect(applyStrategicMergePatch(object, patch, podSpec)).toEqual({
      containers: [{ name: "x" }, { name: "d" }, { name: "n", image: "n:1" }, { name: "c" }],
    });
  });

  it("leaves directives in what it adds, but for parts with a $patch", () => {
    const patch = { securityContext: { $retainKeys: ["a"], runAsUser: 1, seLinuxOptions: { $patch: "delete" }, fsGroup: null } };
    expect(applyStrategicMergePatch({}, patch, podSpec)).toEqual({ securityContext: { $retainKeys: ["a"], runAsUser: 1 } });
  });

  it("deletes from lists of scalars alone: elsewhere $deleteFromPrimitiveList is a change", () => {
    expect(patched({ "$deleteFromPrimitiveList/containers": [{ name: "c", image: "c:2" }] })).toMatchObject({
      containers: [{ name: "c", image: "c:2" }, d],
    });
    expect(patched({ "$deleteFromPrimitiveList/nodeSelector": { b: "2" } })).toMatchObject({ nodeSelector: { a: "1", b: "2" } });
    expect(patched({ "$deleteFromPrimitiveList/nodeSelector": null })).not.toHaveProperty("nodeSelector");
    expect(patched({ "$deleteFromPrimitiveList/containers": "c" })).toEqual(spec);
    expect(() => patched({ "$deleteFromPrimitiveList/tolerations": [{ key: "a" }] })).toThrow(
      "cannot merge lists without merge key for struct",
    );
  });

  it("refuses to put lists in an order that have nothing in them, or are none", () => {
    const nothing = { "$setElementOrder/finalizers": [], finalizers: [] };
    expect(() => applyStrategicMergePatch({}, nothing, meta)).toThrow("no elements in any of the given slices");
    expect(applyStrategicMergePatch({}, { "$setElementOrder/finalizers": ["a"] }, meta)).toEqual({});
    expect(() => patched({ "$setElementOrder/containers": [], containers: null })).toThrow(
      "expected a []interface {}, but received a %!s(<nil>)",
    );
    expect(() => patched({ "$setElementOrder/containers": [{ name: "c" }], containers: [{ name: "c" }, { $patch: "merge" }] })).toThrow(
      /^The order in patch list:/,
    );
  });

  it("tells what is left of a patch", () => {
    const patch = {
      "$setElementOrder/containers": [{ name: "d" }, { name: "c" }],
      containers: [{ name: "c", image: "q" }],
      nodeSelector: { $retainKeys: ["b"], b: "1" },
      securityContext: { fsGroup: null, runAsUser: 1 },
    };
    const before = JSON.stringify(patch);
    expect(spentStrategicPatch(spec, patch, podSpec)).toEqual({ nodeSelector: { b: "1" }, securityContext: { runAsUser: 1 } });
    expect(JSON.stringify(patch)).toBe(before);
  });

  it("refuses with upstream's words", () => {
    expect(() => patched({ containers: [{ image: "x" }] })).toThrow("map: map[image:x] does not contain declared merge key: name");
    expect(() => patched({ nodeSelector: { $patch: "merge" } })).toThrow("unknown patch type: merge in map: map[$patch:merge]");
    expect(() => patched([])).toThrow("json: cannot unmarshal array into Go value of type map[string]interface {}");
    expect(() => patched({ "$setElementOrder/containers": [{ name: "c" }], containers: [{ name: "d" }] })).toThrow(
      "The order in patch list:\n[map[name:d]]\n doesn't match $setElementOrder list:\n[map[name:c]]\n",
    );
    try {
      patched({ containers: [{ image: "x" }] });
    } catch (error) {
      expect(isStatus(error, "") && error.code).toBe(500);
    }
  });

  it("merges long lists by look-up: each item with its own, new ones once", () => {
    const named = (from: number, more = {}) => Array.from({ length: 20_000 }, (_, i) => ({ name: `c${from + i}`, ...more }));
    const object = { containers: named(0) };
    const { containers: merged } = applyStrategicMergePatch(object, { containers: named(10_000, { image: "i" }) }, podSpec) as {
      containers: { name: string; image?: string }[];
    };
    expect(merged).toHaveLength(30_000);
    expect(merged.filter(({ image }) => image === "i")).toHaveLength(20_000);
    const { containers: rest } = applyStrategicMergePatch(object, { containers: named(1, { $patch: "delete" }) }, podSpec);
    expect(rest).toEqual([{ name: "c0" }]);
    const twice = {
      containers: [
        { name: "n", image: "a" },
        { name: "n", tty: true },
      ],
    };
    expect(applyStrategicMergePatch({ containers: [{ name: "x" }] }, twice, podSpec)).toEqual({
      containers: [{ name: "n", image: "a", tty: true }, { name: "x" }],
    });
  });

  it("leaves the object alone and shares what it does not touch", () => {
    const before = JSON.stringify(spec);
    const result = patched({ nodeSelector: { q: "1" } }) as typeof spec;
    expect(result.containers).toBe(spec.containers);
    expect(JSON.stringify(spec)).toBe(before);
  });
});
