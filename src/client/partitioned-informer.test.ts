import { expect, it } from "vitest";
import { pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { Informer, InformerHandler } from "./informer.ts";
import { PartitionedInformer } from "./partitioned-informer.ts";

const pod = (name: string, nodeName?: string): Pod =>
  ({ metadata: { namespace: "default", name }, spec: { ...(nodeName ? { nodeName } : {}) } }) as Pod; // nothing else is looked at

function informer(): { readonly whole: Informer<Pod>; readonly handler: () => Required<InformerHandler<Pod>> } {
  let handler: InformerHandler<Pod> = {};
  const whole = {
    type: pods,
    hasSynced: true,
    addHandler: (given: InformerHandler<Pod>) => {
      handler = given;
      return { remove: () => undefined };
    },
  } as unknown as Informer<Pod>; // the rest is not asked for
  return { whole, handler: () => handler as Required<InformerHandler<Pod>> };
}

it("PartitionedInformer tells each part of its own objects, and of those that come and go", () => {
  const { whole, handler } = informer();
  const partitioned = new PartitionedInformer(whole, ({ spec }) => spec.nodeName);
  const told: string[] = [];
  const tell = (name: string): InformerHandler<Pod> => ({
    onAdd: ({ metadata }) => told.push(`${name}+${metadata.name}`),
    onUpdate: ({ metadata }) => told.push(`${name}~${metadata.name}`),
    onDelete: ({ metadata }) => told.push(`${name}-${metadata.name}`),
  });
  const [a, b] = [partitioned.part("a"), partitioned.part("b")];
  const first = a.addHandler(tell("a"));
  const { onAdd, onUpdate, onDelete } = handler();
  onAdd(pod("x"));
  onAdd(pod("y", "a"));
  onUpdate(pod("x", "b"), pod("x"));
  b.addHandler(tell("b"));
  onUpdate(pod("y", "a"), pod("y", "a"));
  onUpdate(pod("y", "b"), pod("y", "a"));
  onDelete(pod("x", "b"));
  expect(told).toEqual(["a+y", "b+x", "a~y", "a-y", "b+y", "b-x"]);
  expect([a.size, b.size, [...b.list()].map(({ metadata }) => metadata.name)]).toEqual([0, 1, ["y"]]);
  expect([b.get("default/y")?.spec.nodeName, b.inNamespace("default").length, b.inNamespace("other").length]).toEqual(["b", 1, 0]);
  first.remove();
  onAdd(pod("z", "a"));
  expect(told).toHaveLength(6);
});

it("PartitionedInformer tells the other handlers when one fails", () => {
  const { whole, handler } = informer();
  const part = new PartitionedInformer(whole, ({ spec }) => spec.nodeName).part("a");
  const told: string[] = [];
  part.addHandler({
    onAdd: () => {
      throw new Error("mine");
    },
  });
  part.addHandler({ onAdd: ({ metadata }) => told.push(metadata.name) });
  expect(() => handler().onAdd(pod("x", "a"))).toThrow("mine");
  expect(told).toEqual(["x"]);
});
