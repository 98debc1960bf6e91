import { expect, it } from "vitest";
import type { KubernetesObject } from "../meta/object.ts";
import { markShared } from "../meta/shared-parts.ts";
import { textWithSharedParts } from "./shared-texts.ts";

const spec = () => ({
  containers: [{ name: "c", image: "app", env: [{ name: "A", value: '"quoted" é\n' }] }],
  nodeSelector: {},
  priority: 0,
  hostname: undefined,
  restartPolicy: "Always",
});
const podWith = (its: object, more: object = {}): KubernetesObject =>
  ({
    apiVersion: "v1",
    kind: "Pod",
    spec: its,
    metadata: { name: "p", labels: { 'a"': "b" }, managedFields: [{ manager: "m" }], generation: 1, deletionTimestamp: undefined },
    status: { phase: "Pending" },
    ...more,
  }) as unknown as KubernetesObject;
const inOrder = ({ kind, apiVersion, metadata, ...rest }: KubernetesObject): string =>
  JSON.stringify({ kind, apiVersion, metadata, ...rest });

it("says nothing of objects that have nothing in common with others", () => {
  expect(textWithSharedParts(podWith(spec()))).toBeUndefined();
  expect(textWithSharedParts({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } } as KubernetesObject)).toBeUndefined();
});

it("writes what JSON.stringify writes, kind first, for a shared specification and for changed copies of it", () => {
  const shared = markShared(spec());
  const bound = { ...shared, nodeName: 'n"1' };
  const objects = [
    podWith(shared),
    podWith(shared, { status: undefined }),
    podWith(bound),
    podWith({ ...bound, nodeSelector: { b: "c" } }),
  ];
  for (const object of objects) expect(textWithSharedParts(object)).toBe(inOrder(object));
  const owners = markShared([{ manager: "m", operation: "Update" }]);
  const owned = podWith(bound, { metadata: { name: "q", managedFields: owners } });
  for (let i = 0; i < 2; i++) expect(textWithSharedParts(owned)).toBe(inOrder(owned));
});
