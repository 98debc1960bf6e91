// How a CustomResourceDefinition ends: the first DELETE marks it, says so in its status and adds the finalizer by which it
// stays until its objects are gone (remove-instances.ts).
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { ResourceDefinition } from "../registry/resource-definition.ts";
import { instanceCleanupFinalizer, withTermination } from "./decide-status.ts";

const pending = {
  active: true,
  reason: "InstanceDeletionPending",
  message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
};

export const customResourceDefinitionDeletion: NonNullable<ResourceDefinition<CustomResourceDefinition>["deletion"]> = {
  begin(definition, { nowMs }) {
    const { metadata } = definition;
    const finalizers = metadata.finalizers ?? [];
    const status = withTermination(definition, pending, nowMs) ?? definition.status;
    return {
      ...definition,
      metadata: {
        ...metadata,
        deletionTimestamp: formatTime(nowMs),
        finalizers: finalizers.includes(instanceCleanupFinalizer) ? finalizers : [...finalizers, instanceCleanupFinalizer],
      },
      ...(status ? { status } : {}),
    };
  },
  mayFinish: () => true,
  leavesDependents: true,
};
