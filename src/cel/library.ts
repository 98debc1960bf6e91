// What a library adds to the language: functions with typed overloads, macros, constants and types. A library is a plain value;
// an environment is made of any number of them. The standard functions and the extensions of extensions/ are declared by the
// same means as those of Kubernetes.

import type { CelComprehension, CelExpr } from "./ast.ts";
import type { CelCostEstimate } from "./cel.ts";
import type { CelType } from "./types.ts";
import type { CelValue } from "./values.ts";

export interface CelLibrary {
  /** For messages about declarations that clash. */
  readonly name: string;
  readonly functions?: readonly CelFunction[];
  readonly macros?: readonly CelMacro[];
  /** Allows `a.?b`, `a[?b]`, `[?x]`, `{?k: v}`. */
  readonly optionalSyntax?: boolean;
  /** Names that stand for values (a type's name for its CelTypeValue, say). */
  readonly constants?: readonly CelConstant[];
  /** Looks at the checked expression for what only literals show: a regular expression that does not compile. */
  readonly validators?: readonly CelValidator[];
}

export interface CelFunction {
  /** As expressions write it: "quantity", "strings.quote" (a qualified global function), "_+_" (an operator). */
  readonly name: string;
  readonly overloads: readonly CelOverload[];
  /**
   * What a call costs where the types of its arguments leave several overloads open (dyn). Default: what the overload that is
   * called says; the standard functions cost 1 then.
   */
  readonly ambiguousCost?: number;
  /**
   * Which overloads a call may end at when the types leave it open: those that the checker found to fit (default), or any that
   * takes the values, as the operators do.
   */
  readonly dispatchesByValue?: boolean;
  /** The error where no overload takes the values. Default: "no such overload: f(string, int)", with the types of all arguments. */
  readonly mismatch?: (args: readonly CelValue[]) => string;
}

export interface CelOverload {
  /** Unique in the environment: "string_to_quantity". An overload with the id of an earlier one replaces it. */
  readonly id: string;
  /** Called as x.f(…): the first parameter is the type of x. Default: false. */
  readonly member?: boolean;
  /** With type parameters (typeParameter("A")) where they are free. */
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  /**
   * The function. Called only with values of the parameters' types (dyn and type parameters: any value), the one it is called on
   * first. Throws CelError for the language's errors. What it finds out to cost more than `cost` says it charges itself.
   */
  readonly call: (args: readonly CelValue[], evaluation: CelEvaluation) => CelValue;
  /** Looks at the arguments that are constant before anything runs. Throws CelError where a call cannot have a value. */
  readonly prepare?: (constants: readonly (CelValue | undefined)[]) => void;
  /** What a call cost at run time. Default: 1. */
  readonly cost?: (args: readonly CelValue[], result: CelValue) => number;
  /**
   * Whether the cost depends on the arguments alone and is charged before the call: for what can take long, so that the budget
   * ends it first. Default: false.
   */
  readonly chargedFirst?: boolean;
  /** What a call may cost, without its arguments. undefined or absent: 1, of unknown size. */
  readonly estimate?: (call: CelCallSite) => CelCallEstimate | undefined;
}

/** What a call may say to the evaluation that it is part of. */
export interface CelEvaluation {
  /** Throws CelError once the budget is spent. */
  charge(cost: number): void;
}

/** A call as the estimate sees it. For a global function, target is undefined and all arguments are in args. */
export interface CelCallSite {
  readonly target?: CelSizedNode;
  readonly args: readonly CelSizedNode[];
}

/** An argument as the estimate sees it. */
export interface CelSizedNode {
  readonly type: CelType;
  /** Known or declared size: of a literal, of what a call gives, of a field with maxSize. Unknown: {min: 0, max: maxCelCost}. */
  readonly size: CelSizeEstimate;
  /** The size where something is known of it. */
  readonly knownSize: CelSizeEstimate | undefined;
  /** The value of a literal. */
  readonly literal?: CelValue;
  /** For a list: one of its elements. */
  readonly element?: () => CelSizedNode;
}

/** Least and largest number of elements; saturates at maxCelCost. cost/estimates.ts has the arithmetic. */
export type CelSizeEstimate = CelCostEstimate;

export interface CelCallEstimate {
  readonly cost: CelCostEstimate;
  /** The size of what the call gives, where it is known. */
  readonly resultSize?: CelSizeEstimate;
}

export interface CelConstant {
  readonly name: string;
  readonly type: CelType;
  readonly value: CelValue;
}

/** A call that is replaced by an expression when it is parsed. */
export interface CelMacro {
  readonly name: string;
  readonly member: boolean;
  /** How many arguments, without the target; undefined for any number. */
  readonly arguments: number | undefined;
  /** The expression instead, or undefined where the call is an ordinary one after all. Throws CelMacroError for arguments that cannot be. */
  readonly expand: (call: { readonly target?: CelExpr; readonly args: readonly CelExpr[] }, make: CelExprFactory) => CelExpr | undefined;
}

export class CelMacroError extends Error {
  /** The place that the message points to: the macro's call where undefined. */
  readonly at: CelExpr | undefined;

  constructor(message: string, at?: CelExpr) {
    super(message);
    this.name = "CelMacroError";
    this.at = at;
  }
}

/** Makes nodes, each with an id of its own at the place of the macro. */
export interface CelExprFactory {
  literal(value: CelValue): CelExpr;
  ident(name: string): CelExpr;
  select(operand: CelExpr, field: string): CelExpr;
  presence(operand: CelExpr, field: string): CelExpr;
  call(name: string, args: readonly CelExpr[]): CelExpr;
  memberCall(name: string, target: CelExpr, args: readonly CelExpr[]): CelExpr;
  list(elements: readonly CelExpr[]): CelExpr;
  map(entries: readonly (readonly [CelExpr, CelExpr])[]): CelExpr;
  comprehension(parts: Omit<CelComprehension, "kind" | "id">): CelExpr;
  /** The same tree with ids of its own, for an expression that is used twice. */
  copy(expression: CelExpr): CelExpr;
}

export interface CelValidator {
  readonly name: string;
  readonly validate: (checked: CelCheckedExpr) => readonly { readonly message: string; readonly at: CelExpr }[];
}

/** An expression with what the checker found. */
export interface CelCheckedExpr {
  readonly expr: CelExpr;
  typeOf(expr: CelExpr): CelType;
}
