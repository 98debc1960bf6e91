// Disruption budgets and autoscalers. Autoscalers are stored as v2; v1 sees the same objects through a conversion.

import { fromAutoscalerV2, toAutoscalerV2 } from "../../../api/conversion/autoscaler.ts";
import { defaultAutoscaler, defaultAutoscalerV1 } from "../../../api/defaults/autoscaling.ts";
import { autoscalerTable, autoscalerV1Table, disruptionBudgetTable } from "../../../api/encode/table/policy.ts";
import { horizontalpodautoscalers, horizontalpodautoscalersV1, poddisruptionbudgets } from "../../../api/resources.generated.ts";
import type { HorizontalPodAutoscaler as HorizontalPodAutoscalerV1 } from "../../../api/types/autoscaling-v1.ts";
import type { HorizontalPodAutoscaler } from "../../../api/types/autoscaling-v2.ts";
import type { PodDisruptionBudget } from "../../../api/types/policy-v1.ts";
import { validateAutoscaler, validateAutoscalerStatus } from "../../../api/validation/hpa.ts";
import { validateDisruptionBudget, validateDisruptionBudgetStatus } from "../../../api/validation/policy.ts";
import { withStatusOf } from "../plain-resource.ts";
import { checked, describe } from "./describe.ts";
import { pathSegmentName } from "./rbac.ts";

export const disruptionBudgetDefinition = describe<PodDisruptionBudget>(poddisruptionbudgets, {
  metadataOnCreate: "afterwards",
  metadataOnUpdate: [],
  validateName: pathSegmentName,
  ...checked(validateDisruptionBudget),
  status: { validate: validateDisruptionBudgetStatus, metadata: [] },
  allowUnconditionalUpdate: false,
  table: disruptionBudgetTable,
});

export const autoscalerDefinition = describe(horizontalpodautoscalers, {
  defaults: defaultAutoscaler,
  countsGeneration: false,
  create: { validate: (autoscaler) => validateAutoscaler(autoscaler) },
  update: { validate: validateAutoscaler },
  status: { validate: validateAutoscalerStatus },
  table: autoscalerTable,
});

/** What v1 serves of an autoscaler once it is stored: with the defaults of v2, unless its behaviour is going to be refused. */
function asStored(autoscaler: HorizontalPodAutoscaler): HorizontalPodAutoscalerV1 {
  const { scaleUp, scaleDown } = autoscaler.spec.behavior ?? {};
  const refused = [scaleUp, scaleDown].some((rules) => rules && (rules.policies ?? []).length === 0);
  return fromAutoscalerV2(refused ? autoscaler : defaultAutoscaler(autoscaler));
}

export const autoscalerV1Definition = describe(horizontalpodautoscalersV1, {
  storagePath: autoscalerDefinition.storagePath,
  fieldAnnotations: ["metrics", "current-metrics", "conditions", "behavior"].map((field) => `autoscaling.alpha.kubernetes.io/${field}`),
  sharesStorageOf: { type: horizontalpodautoscalers, fromStored: fromAutoscalerV2, toStored: toAutoscalerV2 },
  // What v1 carries in annotations is what its own fields say, and the other way round.
  defaults: (autoscaler) => fromAutoscalerV2(toAutoscalerV2(defaultAutoscalerV1(autoscaler))),
  countsGeneration: false,
  create: {
    prepare: (autoscaler) => asStored(withStatusOf(toAutoscalerV2(autoscaler), undefined)),
    validate: (autoscaler) => validateAutoscaler(toAutoscalerV2(autoscaler)),
  },
  update: {
    prepare: (autoscaler, old) => asStored(withStatusOf(toAutoscalerV2(autoscaler), toAutoscalerV2(old))),
    validate: (autoscaler, old) => validateAutoscaler(toAutoscalerV2(autoscaler), toAutoscalerV2(old)),
  },
  status: { validate: (autoscaler) => validateAutoscalerStatus(toAutoscalerV2(autoscaler)) },
  table: autoscalerV1Table,
});
