// NodeMetrics and PodMetrics as tables, for `kubectl get nodemetrics` and `podmetrics`.
import { parseQuantity } from "../api/meta/quantity.ts";
import type { MetricsObject, ResourceUsage } from "./metrics-objects.ts";

export function wantsTable(accept: string): boolean {
  return accept.split(",").some((type) => /;\s*as=Table\b/.test(type) && /;\s*g=meta\.k8s\.io\b/.test(type));
}

const names = ["cpu", "memory"] as const;

export function metricsTable(objects: readonly MetricsObject[], { isList }: { readonly isList: boolean }): unknown {
  const column = (name: string, type: string, format: string, description: string) => ({ name, type, format, description, priority: 0 });
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: {},
    columnDefinitions: [
      column("Name", "string", "name", isList ? "Names of the objects" : "Name of the object"),
      ...names.map((name) => column(name, "string", "quantity", `${name} used`)),
      column("Window", "string", "duration", "What time the figures are of"),
    ],
    rows: objects.map((object) => ({
      cells: [object.metadata.name, ...names.map((name) => totalOf(object, name)), object.window],
      object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata },
    })),
  };
}

function totalOf(object: MetricsObject, name: keyof ResourceUsage): string {
  if (object.kind === "NodeMetrics") return object.usage[name];
  return object.containers
    .map(({ usage }) => parseQuantity(usage[name]))
    .reduce((sum, value) => sum.add(value), parseQuantity("0"))
    .toString();
}
