// What events say of a resize: upstream's text, with the resources of all containers as compact JSON in Go's order.
import { canonicalQuantity } from "../../api/meta/quantity.ts";
import type { Container, Pod, ResourceRequirements } from "../../api/types/core-v1.ts";

type Stage = "started" | "completed" | "error" | "Deferred" | "Infeasible";

export function resizeMessage(stage: Stage, pod: Pod, generation = 0, error = ""): string {
  const { initContainers = [], containers } = pod.spec;
  const summary = {
    ...(initContainers.length > 0 ? { initContainers: initContainers.map(summaryOf) } : {}),
    containers: containers.map(summaryOf),
    generation,
    ...(error === "" ? {} : { error }),
  };
  return `Pod resize ${stage}: ${JSON.stringify(summary)}`;
}

function summaryOf({ name, resources = {} }: Container): object {
  return { name, resources: { ...list("limits", resources), ...list("requests", resources) } };
}

function list(kind: "limits" | "requests", resources: ResourceRequirements): object {
  const entries = Object.entries(resources[kind] ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? {} : { [kind]: Object.fromEntries(entries.map(([name, value]) => [name, canonicalQuantity(value)])) };
}
