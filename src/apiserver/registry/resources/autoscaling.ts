// Disruption budgets and autoscalers. Autoscalers are stored as v2; v1 sees the same objects through a conversion.

import { fromAutoscalerV2, toAutoscalerV2 } from "../../../api/conversion/autoscaler.ts";
import { defaultAutoscaler, defaultAutoscalerV1 } from "../../../api/defaults/autoscaling.ts";
import { autoscalerTable, autoscalerV1Table, disruptionBudgetTable } from "../../../api/encode/table/policy.ts";
import { horizontalpodautoscalers, horizontalpodautoscalersV1, poddisruptionbudgets } from "../../../api/resources.generated.ts";
import type { PodDisruptionBudget } from "../../../api/types/policy-v1.ts";
import { validateAutoscaler, validateAutoscalerStatus } from "../../../api/validation/hpa.ts";
import { validateDisruptionBudget, validateDisruptionBudgetStatus } from "../../../api/validation/policy.ts";
import { checked, describe } from "./describe.ts";
import { pathSegmentName } from "./rbac.ts";

export const disruptionBudgetDefinition = describe<PodDisruptionBudget>(poddisruptionbudgets, {
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

export const autoscalerV1Definition = describe(horizontalpodautoscalersV1, {
  storagePath: autoscalerDefinition.storagePath,
  fieldAnnotations: ["metrics", "current-metrics", "conditions", "behavior"].map((field) => `autoscaling.alpha.kubernetes.io/${field}`),
  sharesStorageOf: { type: horizontalpodautoscalers, fromStored: fromAutoscalerV2, toStored: toAutoscalerV2 },
  // What v1 carries in annotations is what its own fields say, and the other way round.
  defaults: (autoscaler) => fromAutoscalerV2(toAutoscalerV2(defaultAutoscalerV1(autoscaler))),
  countsGeneration: false,
  create: { validate: (autoscaler) => validateAutoscaler(toAutoscalerV2(autoscaler)) },
  update: { validate: (autoscaler, old) => validateAutoscaler(toAutoscalerV2(autoscaler), toAutoscalerV2(old)) },
  status: { validate: (autoscaler) => validateAutoscalerStatus(toAutoscalerV2(autoscaler)) },
  table: autoscalerV1Table,
});
