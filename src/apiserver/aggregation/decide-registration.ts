// What to do about an APIService that the server keeps by itself, for a group version that it serves: pure. A built-in group
// version gets its APIService once, at the start ("onstart"), and what an administrator changes in it afterwards stays; one of a
// custom resource definition is kept as long as the definition is there ("true"). Others' APIServices are left alone.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { New } from "../../api/meta/object.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import { apiServiceName, type GroupVersion, type Priority } from "./group-priorities.ts";

export const automanagedLabel = "kube-aggregator.kubernetes.io/automanaged";

export interface WantedApiService extends GroupVersion {
  readonly priority: Priority;
  readonly managed: "onstart" | "true";
}

export interface RegistrationFacts {
  readonly wanted: WantedApiService | undefined;
  readonly current: APIService | undefined;
  /** It has been brought in order before by this process. */
  readonly hasSynced: boolean;
  /** It was there when this process began. */
  readonly wasThereAtStart: boolean;
}

export type RegistrationAction =
  | { readonly kind: "none" }
  | { readonly kind: "create"; readonly object: New<APIService> }
  | { readonly kind: "update"; readonly object: APIService }
  | { readonly kind: "delete"; readonly object: APIService };

const none: RegistrationAction = { kind: "none" };

export function decideRegistration({ wanted, current, hasSynced, wasThereAtStart }: RegistrationFacts): RegistrationAction {
  if (wanted?.managed === "onstart" && hasSynced) return none;
  if (!current) return wanted ? { kind: "create", object: apiServiceFor(wanted) } : none;
  const managed = current.metadata.labels?.[automanagedLabel];
  if (managed !== "onstart" && managed !== "true") return none;
  if (managed === "onstart" && (!wasThereAtStart || hasSynced)) return none;
  if (!wanted) return { kind: "delete", object: current };
  const { spec } = apiServiceFor(wanted);
  return semanticallyEqual(spec, current.spec) ? none : { kind: "update", object: { ...current, spec } };
}

function apiServiceFor(wanted: WantedApiService): New<APIService> {
  const { group, version, priority, managed } = wanted;
  return {
    metadata: { name: apiServiceName(wanted), labels: { [automanagedLabel]: managed } },
    spec: { ...(group === "" ? {} : { group }), version, groupPriorityMinimum: priority.group, versionPriority: priority.version },
  };
}
