// Calls of functions: arguments are evaluated in order, the overload that takes their values is called, and the call is charged.

import { CelError } from "../cel-error.ts";
import type { CallReference } from "../check/check.ts";
import { uncharged } from "../cost/actual.ts";
import type { DeclaredFunction, DeclaredOverload } from "../declarations.ts";
import { type CelValue, celTypeName } from "../values.ts";
import { absorbable, type Frame, type Step } from "./frame.ts";
import { testOfParameters } from "./runtime-types.ts";

interface Candidate {
  readonly overload: DeclaredOverload;
  readonly test: ((args: readonly CelValue[]) => boolean) | undefined;
}

export function callStep(reference: CallReference, args: readonly Step[]): Step {
  const { declared, overloads, target } = reference;
  const candidates = candidatesOf(declared, overloads, target !== undefined).filter(({ parameters }) => parameters.length === args.length);
  const tested: readonly Candidate[] = candidates.map((overload) => ({ overload, test: testOfParameters(overload.parameters) }));
  const resolved = overloads.length === 1 ? overloads[0] : undefined;
  const cost = costOf(declared, resolved);
  const [first, second] = args as [Step, Step];
  const only = tested.length === 1 ? tested[0] : undefined;
  const charge = (frame: Frame, overload: DeclaredOverload | undefined, values: readonly CelValue[], result: CelValue): void =>
    frame.charge(cost && overload ? cost(overload, values, result) : 1);
  const invoke = (frame: Frame, values: readonly CelValue[]): CelValue => {
    const chosen = only ?? tested.find(({ test }) => !test || test(values));
    let result: CelValue = null;
    if (chosen?.overload.chargedFirst && (!chosen.test || chosen.test(values))) {
      charge(frame, resolved ?? chosen.overload, values, null);
      return chosen.overload.call(values, frame);
    }
    try {
      if (!chosen || (chosen === only && chosen.test && !chosen.test(values))) throw noOverload(declared, values);
      result = chosen.overload.call(values, frame);
    } catch (error) {
      absorbable(error);
      charge(frame, resolved ?? chosen?.overload, values, null);
      throw error;
    }
    charge(frame, chosen.overload, values, result);
    return result;
  };
  switch (args.length) {
    case 1:
      return (frame) => {
        let value: CelValue;
        try {
          value = first(frame);
        } catch (error) {
          throw failed(error, () => charge(frame, resolved, nothing, null));
        }
        return invoke(frame, [value]);
      };
    case 2:
      return (frame) => {
        let a: CelValue = null;
        let b: CelValue = null;
        let failure: unknown;
        try {
          a = first(frame);
        } catch (error) {
          failure = absorbable(error);
        }
        try {
          b = second(frame);
        } catch (error) {
          failure ??= absorbable(error);
          absorbable(error);
        }
        if (failure) throw failed(failure, () => charge(frame, resolved, [a, b], null));
        return invoke(frame, [a, b]);
      };
    default:
      return (frame) =>
        invoke(
          frame,
          args.map((arg) => arg(frame)),
        );
  }
}

/** What stands for arguments without a value: of size 1. */
const nothing: readonly CelValue[] = [null, null];

/** Charges for a call whose arguments have no value: upstream does for one and for two. */
function failed(error: unknown, charge: () => void): unknown {
  absorbable(error);
  charge();
  return error;
}

/** What the checker found first; then, where values decide, the others of the same style. */
function candidatesOf(declared: DeclaredFunction, overloads: readonly DeclaredOverload[], isMember: boolean): readonly DeclaredOverload[] {
  if (!declared.dispatchesByValue) return overloads;
  return [...overloads, ...declared.overloads.filter((overload) => overload.isMember === isMember && !overloads.includes(overload))];
}

type Cost = (overload: DeclaredOverload, args: readonly CelValue[], result: CelValue) => number;

/** undefined: 1. */
function costOf(declared: DeclaredFunction, resolved: DeclaredOverload | undefined): Cost | undefined {
  const known = resolved?.cost;
  if (resolved) return known && ((_, args, result) => known(args, result));
  const { ambiguousCost } = declared;
  if (ambiguousCost !== undefined)
    return (overload, args, result) => Math.max(ambiguousCost, (overload.cost?.(args, result) ?? 0) - uncharged);
  return (overload, args, result) => overload.cost?.(args, result) ?? 1;
}

function noOverload(declared: DeclaredFunction, args: readonly CelValue[]): CelError {
  return new CelError(declared.mismatch?.(args) ?? `no such overload: ${declared.name}(${args.map(celTypeName).join(", ")})`);
}
