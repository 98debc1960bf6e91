// How a namespace ends: a DELETE marks it Terminating and it stays; the namespace controller empties it and takes its
// finalizers away by the finalize subresource; with the last of them it disappears.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import { isQualifiedName } from "../../api/meta/names.ts";
import type { Namespace } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

type NamespaceDefinition = ResourceDefinition<Namespace>;

export const namespaceDeletion: NonNullable<NamespaceDefinition["deletion"]> = {
  begin: (namespace, { nowMs }) => ({
    ...namespace,
    metadata: { ...namespace.metadata, deletionTimestamp: formatTime(nowMs) },
    status: { ...namespace.status, phase: "Terminating" },
  }),
  mayFinish: ({ spec }) => (spec?.finalizers ?? []).length === 0,
};

/** The finalize subresource: writes spec.finalizers and nothing of the status. */
export const namespaceFinalization: NonNullable<NamespaceDefinition["status"]> = {
  prepare: (namespace, old) => ({ ...namespace, ...(old.status ? { status: old.status } : {}) }),
  validate: (namespace) => (namespace.spec?.finalizers ?? []).flatMap(checkFinalizer),
};

function checkFinalizer(finalizer: string, i: number): FieldError[] {
  const field = `spec.finalizers[${i}]`;
  const errors = isQualifiedName(finalizer).map((problem) => invalidValue(field, finalizer, problem));
  if (finalizer !== "kubernetes" && !finalizer.includes("/"))
    errors.push(invalidValue(field, finalizer, "name is neither a standard finalizer name nor is it fully qualified"));
  return errors;
}

/** The definition with what makes a namespace end. */
export function withNamespaceLifecycle(definition: NamespaceDefinition): NamespaceDefinition {
  return {
    ...definition,
    deletion: namespaceDeletion,
    subresources: { finalize: namespaceFinalization, ...definition.subresources },
  };
}
