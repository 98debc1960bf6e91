// Warnings about the finalizers of custom objects, which may name no domain: those that a write adds are told of.

import type { KubernetesObject } from "../../api/meta/object.ts";

const standard: ReadonlySet<string> = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

/** What is said of the finalizers that `object` has and `old` had not, in the order of their names. */
export function finalizerWarnings(object: KubernetesObject, old?: KubernetesObject): readonly string[] {
  const finalizers = object.metadata.finalizers;
  if (!finalizers || finalizers.length === 0) return [];
  const known = new Set(old?.metadata.finalizers);
  const added = new Set(finalizers.filter((finalizer) => !known.has(finalizer)));
  return [...added].filter(namesNoDomain).sort().map(warningOf);
}

const namesNoDomain = (finalizer: string): boolean => !finalizer.includes("/") && !standard.has(finalizer);

function warningOf(finalizer: string): string {
  const form = finalizer.includes(".") ? " including a path (/)" : "";
  return `metadata.finalizers: ${JSON.stringify(finalizer)}: prefer a domain-qualified finalizer name${form} to avoid accidental conflicts with other finalizer writers`;
}
