// Match conditions of authorization webhooks: expressions over the SubjectAccessReviewSpec that the webhook would be sent.
import type { CelEnvironment } from "../../cel/cel.ts";
import { CelError } from "../../cel/cel.ts";
import { boolType, type CelType, listOf, mapOf, stringType } from "../../cel/types.ts";
import type { SubjectAccessReviewSpec } from "../types/authorization-v1.ts";
import { type CompiledExpression, compileExpression } from "./expression.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import { structure } from "./structure.ts";

const strings = listOf(stringType);
const requirements = listOf(structure("kubernetes.SelectorRequirement", { key: stringType, operator: stringType, values: strings }));
const selectorType = (which: "Field" | "Label"): CelType =>
  structure(`kubernetes.${which}SelectorAttributes`, { rawSelector: stringType, requirements });

const resourceAttributesType = structure("kubernetes.ResourceAttributes", {
  namespace: stringType,
  verb: stringType,
  group: stringType,
  version: stringType,
  resource: stringType,
  subresource: stringType,
  name: stringType,
  fieldSelector: selectorType("Field"),
  labelSelector: selectorType("Label"),
});

const reviewType = structure("kubernetes.SubjectAccessReviewSpec", {
  resourceAttributes: resourceAttributesType,
  nonResourceAttributes: structure("kubernetes.NonResourceAttributes", { path: stringType, verb: stringType }),
  user: stringType,
  groups: strings,
  extra: mapOf(stringType, strings),
  uid: stringType,
});

let known: CelEnvironment | undefined;
const environment = (): CelEnvironment => (known ??= kubernetesEnvironment().extend({ variables: { request: reviewType } }));

/** The expression, with what is wrong with it. */
export const authorizationConditionProblem = (expression: string): CompiledExpression =>
  compileExpression(environment(), expression, [boolType]);

export interface AuthorizationConditions {
  /** Whether the webhook is to be asked. Throws CelError where conditions fail and none is false. */
  matches(review: SubjectAccessReviewSpec): boolean;
}

/** Compiles conditions that have no problem; throws for one that has. */
export function compileAuthorizationConditions(expressions: readonly string[]): AuthorizationConditions {
  const programs = expressions.map((expression) => {
    const { program, problem } = compileExpression(environment(), expression, [boolType]);
    if (!program) throw new Error(problem);
    return program;
  });
  return {
    matches(review) {
      const request = reviewFields(review);
      const errors: string[] = [];
      for (const program of programs) {
        try {
          if (program.evaluate({ request }).value !== true) return false;
        } catch (error) {
          if (!(error instanceof CelError)) throw error;
          errors.push(`cel evaluation error: expression '${program.expression}' resulted in error: ${error.message}`);
        }
      }
      if (errors.length > 0) throw new CelError(errors.length === 1 ? (errors[0] ?? "") : `[${errors.join(", ")}]`);
      return true;
    },
  };
}

/** Upstream shows conditions every plain field, set or not. */
function reviewFields({
  user = "",
  groups = [],
  uid = "",
  extra = {},
  resourceAttributes,
  nonResourceAttributes,
}: SubjectAccessReviewSpec): unknown {
  const { fieldSelector, labelSelector, ...resource } = resourceAttributes ?? {};
  const shown = (selector: typeof fieldSelector): unknown =>
    selector?.rawSelector
      ? { rawSelector: selector.rawSelector }
      : { requirements: selector?.requirements?.map(({ key, operator, values = [] }) => ({ key, operator, values })) };
  const says = (selector: typeof fieldSelector): boolean => Boolean(selector?.rawSelector) || (selector?.requirements ?? []).length > 0;
  return {
    user,
    groups,
    uid,
    extra,
    ...(resourceAttributes
      ? {
          resourceAttributes: {
            ...{ namespace: "", verb: "", group: "", version: "", resource: "", subresource: "", name: "" },
            ...resource,
            ...(says(fieldSelector) ? { fieldSelector: shown(fieldSelector) } : {}),
            ...(says(labelSelector) ? { labelSelector: shown(labelSelector as typeof fieldSelector) } : {}),
          },
        }
      : {}),
    ...(nonResourceAttributes ? { nonResourceAttributes: { verb: "", path: "", ...nonResourceAttributes } } : {}),
  };
}
