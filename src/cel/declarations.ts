// What an environment declares, looked up by name: variables, constants, functions with all their overloads, macros. Extending
// makes a new set that shares what it does not change.

import type { CelEnvironmentOptions } from "./cel.ts";
import { parameterNames } from "./check/unify.ts";
import type { CelConstant, CelFunction, CelLibrary, CelMacro, CelOverload, CelValidator } from "./library.ts";
import { macroKey } from "./parse.ts";
import type { CelType } from "./types.ts";

/** An overload as the checker uses it. */
export interface DeclaredOverload extends CelOverload {
  readonly isMember: boolean;
  readonly typeParameters: ReadonlySet<string>;
}

export interface DeclaredFunction extends CelFunction {
  readonly overloads: readonly DeclaredOverload[];
}

export interface Declarations {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly constants: ReadonlyMap<string, CelConstant>;
  readonly functions: ReadonlyMap<string, DeclaredFunction>;
  readonly macros: ReadonlyMap<string, CelMacro>;
  readonly validators: ReadonlyMap<string, CelValidator>;
  /** The latest asked first. */
  readonly types: readonly ((name: string) => CelType | undefined)[];
  readonly optionalSyntax: boolean;
  readonly homogeneousLiterals: boolean;
  readonly estimateRoot: CelType | undefined;
}

export const noDeclarations: Declarations = {
  variables: new Map(),
  constants: new Map(),
  functions: new Map(),
  macros: new Map(),
  validators: new Map(),
  types: [],
  optionalSyntax: false,
  homogeneousLiterals: true,
  estimateRoot: undefined,
};

export function extendDeclarations(base: Declarations, options: CelEnvironmentOptions): Declarations {
  const libraries = options.libraries ?? [];
  return {
    variables: options.variables ? new Map([...base.variables, ...Object.entries(options.variables)]) : base.variables,
    constants: extended(base.constants, libraries, (library) => library.constants?.map((constant) => [constant.name, constant])),
    functions: libraries.length > 0 ? withFunctions(base.functions, libraries) : base.functions,
    macros: extended(base.macros, libraries, (library) =>
      library.macros?.map((macro) => [macroKey(macro.name, macro.arguments, macro.member), macro]),
    ),
    validators: extended(base.validators, libraries, (library) => library.validators?.map((validator) => [validator.name, validator])),
    types: options.types ? [options.types, ...base.types] : base.types,
    optionalSyntax: base.optionalSyntax || libraries.some((library) => library.optionalSyntax),
    homogeneousLiterals: options.homogeneousLiterals ?? base.homogeneousLiterals,
    estimateRoot: options.estimateRoot ?? base.estimateRoot,
  };
}

function extended<T>(
  base: ReadonlyMap<string, T>,
  libraries: readonly CelLibrary[],
  entries: (library: CelLibrary) => (readonly [string, T])[] | undefined,
): ReadonlyMap<string, T> {
  const added = libraries.flatMap((library) => entries(library) ?? []);
  return added.length > 0 ? new Map([...base, ...added]) : base;
}

function withFunctions(
  base: ReadonlyMap<string, DeclaredFunction>,
  libraries: readonly CelLibrary[],
): ReadonlyMap<string, DeclaredFunction> {
  const functions = new Map(base);
  for (const library of libraries) {
    for (const declared of library.functions ?? []) {
      const { name, overloads } = declared;
      const known = functions.get(name);
      const byId = new Map(known?.overloads.map((overload) => [overload.id, overload]));
      for (const overload of overloads) {
        const typeParameters = parameterNames([...overload.parameters, overload.result]);
        byId.set(overload.id, { ...overload, isMember: overload.member ?? false, typeParameters });
      }
      functions.set(name, { ...known, ...declared, overloads: [...byId.values()] });
    }
  }
  return functions;
}

/** What a name stands for, outside of loops. */
export type Named =
  | { readonly kind: "variable"; readonly name: string; readonly type: CelType }
  | { readonly kind: "constant"; readonly name: string; readonly constant: CelConstant }
  | { readonly kind: "type"; readonly name: string; readonly type: CelType };

export function lookUp(declarations: Declarations, written: string): Named | undefined {
  const name = written.startsWith(".") ? written.slice(1) : written;
  const variable = declarations.variables.get(name);
  if (variable) return { kind: "variable", name, type: variable };
  const constant = declarations.constants.get(name);
  if (constant) return { kind: "constant", name, constant };
  for (const find of declarations.types) {
    const type = find(name);
    if (type) return { kind: "type", name, type };
  }
  return undefined;
}

export function lookUpFunction(declarations: Declarations, name: string): DeclaredFunction | undefined {
  return declarations.functions.get(name.startsWith(".") ? name.slice(1) : name);
}
