// The conditions by which a namespace that is being deleted tells how far that has come and what holds it up.
import { findCondition } from "../../api/semantics/conditions.ts";
import type { NamespaceCondition } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { RemainingContent } from "./content.ts";

export interface DeletionProgress {
  readonly content: RemainingContent;
  /** Why not every resource could be discovered. */
  readonly discoveryFailure?: string;
}

interface Verdict {
  readonly type: string;
  /** What is wrong; absent when nothing is. */
  readonly problem?: { readonly reason: string; readonly message: string };
  readonly fine: { readonly reason: string; readonly message: string };
}

/** The namespace's conditions after an attempt to delete its content; the same list where nothing has changed. */
export function deletionConditions(
  known: readonly NamespaceCondition[],
  progress: DeletionProgress,
  nowMs: number,
): readonly NamespaceCondition[] {
  const now = formatTime(nowMs);
  const updated = [...known];
  for (const verdict of verdictsOf(progress)) {
    const status = verdict.problem ? "True" : "False";
    const { reason, message } = verdict.problem ?? verdict.fine;
    const current = findCondition(known, verdict.type);
    if (current?.status === status && current.reason === reason && current.message === message) continue;
    const lastTransitionTime = current?.status === status ? (current.lastTransitionTime ?? now) : now;
    const condition: NamespaceCondition = { type: verdict.type, status, reason, message, lastTransitionTime };
    if (current) updated[known.indexOf(current)] = condition;
    else updated.push(condition);
  }
  return updated;
}

function verdictsOf({ content, discoveryFailure }: DeletionProgress): readonly Verdict[] {
  return [
    {
      type: "NamespaceDeletionDiscoveryFailure",
      ...(discoveryFailure === undefined ? {} : { problem: { reason: "DiscoveryFailed", message: discoveryFailure } }),
      fine: { reason: "ResourcesDiscovered", message: "All resources successfully discovered" },
    },
    {
      type: "NamespaceDeletionGroupVersionParsingFailure",
      fine: { reason: "ParsedGroupVersions", message: "All legacy kube types successfully parsed" },
    },
    {
      type: "NamespaceDeletionContentFailure",
      ...problem(content.failures, "ContentDeletionFailed", `Failed to delete all resource types, ${content.failures.length} remaining: `),
      fine: { reason: "ContentDeleted", message: "All content successfully deleted, may be waiting on finalization" },
    },
    {
      type: "NamespaceContentRemaining",
      ...problem(remainingObjects(content), "SomeResourcesRemain", "Some resources are remaining: "),
      fine: { reason: "ContentRemoved", message: "All content successfully removed" },
    },
    {
      type: "NamespaceFinalizersRemaining",
      ...problem(remainingFinalizers(content), "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: "),
      fine: { reason: "ContentHasNoFinalizers", message: "All content-preserving finalizers finished" },
    },
  ];
}

function problem(items: readonly string[], reason: string, prefix: string): Pick<Verdict, "problem"> {
  return items.length === 0 ? {} : { problem: { reason, message: prefix + [...items].sort().join(", ") } };
}

// While only pods have been deleted so far nothing is said of what remains, as upstream does.
function remainingObjects({ objects, waitsForPods }: RemainingContent): readonly string[] {
  return waitsForPods ? [] : [...objects].map(([type, count]) => `${type.resource}.${type.group} has ${count} resource instances`);
}

function remainingFinalizers({ finalizers, waitsForPods }: RemainingContent): readonly string[] {
  return waitsForPods ? [] : [...finalizers].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`);
}
