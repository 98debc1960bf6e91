// Which of several objects marked as the default counts: the newest one, by name where they are equally old.
import type { KubernetesObject } from "../../api/meta/object.ts";

export function newestDefault<T extends KubernetesObject>(objects: Iterable<T>, annotations: readonly string[]): T | undefined {
  let best: T | undefined;
  for (const object of objects) {
    if (!annotations.some((a) => object.metadata.annotations?.[a] === "true")) continue;
    if (!best || isPreferred(object, best)) best = object;
  }
  return best;
}

function isPreferred(a: KubernetesObject, b: KubernetesObject): boolean {
  const [ageA, ageB] = [Date.parse(a.metadata.creationTimestamp ?? ""), Date.parse(b.metadata.creationTimestamp ?? "")];
  return ageA === ageB ? a.metadata.name < b.metadata.name : ageA > ageB;
}
