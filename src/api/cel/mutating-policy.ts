// MutatingAdmissionPolicy: its expressions compiled, and the object as its mutations leave it: patched by the operations that
// an expression lists, or merged with the configuration that an expression makes, as server-side apply would, but without
// taking a list or structure that is owned as a whole.

import { CelError } from "../../cel/cel-error.ts";
import { celToJson } from "../../cel/json.ts";
import { listOf } from "../../cel/types.ts";
import { CelList, CelMap, CelObject, CelOpaque, CelTypeValue, type CelValue, celTypeName } from "../../cel/values.ts";
import { StatusError } from "../meta/status-error.ts";
import { applyJsonPatch, type JsonPatchOperation } from "../patch/json-patch.ts";
import { mergeApplied } from "../patch/managed-fields/merge-objects.ts";
import { isObject, type JsonObject, type Shape, shapeAt } from "../patch/managed-fields/shape.ts";
import { appliedProblem } from "../patch/managed-fields/validate-applied.ts";
import type { MutatingAdmissionPolicySpec, Mutation } from "../types/admissionregistration-v1.ts";
import type { AdmissionInput } from "./admission-environment.ts";
import { appliedValue, mergeableValue } from "./applied-values.ts";
import { Budget, evaluateWithin, policyBudget } from "./budget.ts";
import type { CompiledExpression } from "./expression.ts";
import { type CompiledMatchConditions, compileMatchConditions } from "./match-conditions.ts";
import { configurationType, jsonPatchType, misplacedTypes } from "./mutation-types.ts";
import { PolicyExpressions } from "./policy-expressions.ts";

/** A mutation could not be made: the policy's failure policy decides. */
export class MutationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "MutationError";
  }
}

export interface CompiledMutation {
  readonly patchType: "JSONPatch" | "ApplyConfiguration";
  /** The object as JSON after the mutation. Throws MutationError or BudgetExceeded. */
  apply(object: JsonObject, input: AdmissionInput, shape: () => Shape): Promise<JsonObject>;
}

export interface CompiledMutatingPolicy {
  readonly conditions: CompiledMatchConditions | undefined;
  readonly mutations: readonly CompiledMutation[];
  readonly isReinvocable: boolean;
}

export function compileMutatingPolicy(spec: MutatingAdmissionPolicySpec): CompiledMutatingPolicy {
  const { failurePolicy, paramKind, variables, matchConditions, mutations = [], reinvocationPolicy } = spec;
  const params = paramKind !== undefined;
  const expressions = new PolicyExpressions({ params, variables });
  return {
    conditions: compileMatchConditions(matchConditions, { failurePolicy: failurePolicy ?? "Fail", params }),
    mutations: mutations.map((mutation) => compileMutation(expressions, mutation)),
    isReinvocable: reinvocationPolicy === "IfNeeded",
  };
}

function compileMutation(expressions: PolicyExpressions, { patchType, jsonPatch, applyConfiguration }: Mutation): CompiledMutation {
  const use = { authorizer: true, patches: true };
  const patches = patchType === "JSONPatch";
  const text = (patches ? jsonPatch : applyConfiguration)?.expression ?? "";
  const expression = expressions.compile(text, [patches ? listOf(jsonPatchType) : configurationType], use);
  return {
    patchType: patches ? "JSONPatch" : "ApplyConfiguration",
    async apply(object, input, shape) {
      const value = await evaluate(expressions, expression, input);
      return patches ? patched(object, operationsOf(value)) : merged(object, value, shape());
    },
  };
}

async function evaluate(expressions: PolicyExpressions, expression: CompiledExpression, input: AdmissionInput): Promise<CelValue> {
  if (expression.problem !== undefined) throw new MutationError(expression.problem);
  const { value, error } = await evaluateWithin(expression, expressions.bind(input), new Budget(policyBudget));
  if (error !== undefined) throw new MutationError(error);
  return value;
}

function operationsOf(value: CelValue): readonly JsonPatchOperation[] {
  const expected = "type mismatch: JSONPatchType.expression should evaluate to array";
  if (!(value instanceof CelList)) throw new MutationError(expected);
  return [...value].map((item) => {
    if (!(item instanceof CelObject) || item.typeName !== jsonPatchType.name)
      throw new MutationError(`${expected} of JSONPatch, got element of ${celTypeName(item)}`);
    const text = (field: string): string => String(item.find(field) ?? "");
    const from = text("from");
    const patch = { op: text("op"), path: text("path"), ...(from === "" ? {} : { from }) };
    const operand = item.find("value");
    return operand === undefined ? patch : { ...patch, value: jsonOf(operand) };
  });
}

function jsonOf(value: CelValue): unknown {
  checkTypes(value);
  try {
    checkConvertible(value);
    return celToJson(value);
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    throw new MutationError(`JSONPath valueExpression evaluated to a type that could not marshal to JSON: ${error.message}`);
  }
}

/** What the values of operations cannot be, though JSON could say it. */
function checkConvertible(value: CelValue): void {
  if (value instanceof CelTypeValue) throw new CelError("type conversion not supported for 'type'");
  if (value instanceof CelOpaque)
    throw new CelError(`type conversion error from '${value.typeName.split(".").at(-1)}' to '*structpb.Value'`);
  if (value instanceof CelList) for (const item of value) checkConvertible(item);
  if (value instanceof CelMap)
    for (const key of value.keys()) {
      if (typeof key !== "string") throw new CelError(`unsupported type conversion from '${celTypeName(key)}' to string`);
      checkConvertible(value.find(key) ?? null);
    }
}

function checkTypes(value: CelValue): void {
  if (!(value instanceof CelObject)) return;
  const problems = misplacedTypes(value);
  if (problems.length > 0) throw new MutationError(`type mismatch: ${problems.join("\n")}`);
}

function patched(object: JsonObject, operations: readonly JsonPatchOperation[]): JsonObject {
  try {
    return applyJsonPatch(object, operations) as JsonObject;
  } catch (error) {
    if (!(error instanceof StatusError) || !(error.cause instanceof Error)) throw error;
    // A test that fails says that there is nothing to do.
    if (error.cause.message.endsWith(": test failed")) return object;
    throw new MutationError(`JSON Patch: ${error.cause.message}`);
  }
}

function merged(object: JsonObject, value: CelValue, shape: Shape): JsonObject {
  checkTypes(value);
  const refuse = (problem: string): MutationError => new MutationError(`error applying patch: ${problem}`);
  const said = appliedValue(value, () => new MutationError("invalid return type: *dynamic.ObjectVal")) as JsonObject; // made of an Object
  const typed = { ...said, apiVersion: object["apiVersion"], kind: object["kind"] };
  const problem = appliedProblem(typed, shape);
  if (problem !== undefined) throw refuse(`failed to convert patch object to typed object: ${problem}`);
  const configuration = mergeable(typed);
  const atomic = atomics(configuration, shape, "");
  if (atomic.length > 0) throw refuse(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomic.join(", ")}`);
  return mergeApplied(object, configuration, shape) as JsonObject;
}

function mergeable(typed: JsonObject): JsonObject {
  try {
    return mergeableValue(typed) as JsonObject; // an object stays one
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    throw new MutationError(error.message);
  }
}

/** Paths of what is owned as a whole. */
function atomics(value: unknown, shape: Shape, path: string): readonly string[] {
  if (shape.kind === "leaf") return shape.expects === "list" || shape.expects === "map" ? [path] : [];
  if (shape.kind === "map" && isObject(value))
    return Object.entries(value).flatMap(([field, child]) =>
      shape.fields?.has(field) ? atomics(child, shapeAt(shape, field), `${path}.${field}`) : [],
    );
  if (shape.kind === "keyedList" && Array.isArray(value)) return value.flatMap((item, i) => atomics(item, shape.items, `${path}[${i}]`));
  return [];
}
