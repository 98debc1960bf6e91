// Selectors of devices (resource.k8s.io): an expression over one device's driver, attributes and capacities.
import type { CelEnvironment } from "../../cel/cel.ts";
import { bindings } from "../../cel/extensions/bindings.ts";
import { boolType, type CelType, dynType, stringType } from "../../cel/types.ts";
import { compileExpression, typeText } from "./expression.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import { quantityType } from "./library/quantity.ts";
import { structure } from "./structure.ts";

/** What evaluating a selector may cost. */
export const maxSelectorCost = 1_000_000;
const maxPerDevice = 32;

const domain = { ...stringType, maxSize: 63 };
const id = { ...stringType, maxSize: 32 };

const byDomain = (value: CelType): CelType => ({
  kind: "map",
  keys: domain,
  maxSize: maxPerDevice,
  values: { kind: "map", keys: id, values: value, maxSize: maxPerDevice },
});

const deviceType = structure("kubernetes.DRADevice", {
  driver: { ...stringType, maxSize: 63 },
  allowMultipleAllocations: { ...boolType, maxSize: 1 },
  attributes: byDomain({ ...dynType, maxSize: 64 }),
  capacity: byDomain({ ...quantityType, maxSize: 0 }),
});

let known: CelEnvironment | undefined;
const environment = (): CelEnvironment =>
  (known ??= kubernetesEnvironment().extend({ libraries: [bindings], variables: { device: deviceType } }));

/** What is wrong with a selector, or what it may cost. */
export function deviceSelectorProblem(expression: string): { readonly problem?: string; readonly cost: number } {
  const { program, problem = "" } = compileExpression(environment(), expression);
  if (!program) return { problem, cost: 0 };
  const { resultType, cost } = program;
  if (resultType.kind !== "bool" && resultType.kind !== "dyn")
    return { problem: `must evaluate to bool or the unknown type, not ${typeText(resultType)}`, cost: 0 };
  return { cost: cost.max };
}
