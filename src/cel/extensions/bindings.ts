// The extension of bindings: cel.bind(x, value, expression with x).

import { type CelLibrary, CelMacroError } from "../library.ts";

export const bindings: CelLibrary = {
  name: "cel.lib.ext.cel.bindings",
  macros: [
    {
      name: "bind",
      member: true,
      arguments: 3,
      expand({ target, args: [variable, init, result] }, make) {
        if (target?.kind !== "ident" || target.name !== "cel" || !init || !result) return undefined;
        if (variable?.kind !== "ident") throw new CelMacroError("cel.bind() variable names must be simple identifiers", variable);
        return make.comprehension({
          range: make.list([]),
          variable: "#unused",
          accumulator: variable.name,
          init,
          condition: make.literal(false),
          step: make.ident(variable.name),
          result,
        });
      },
    },
  ],
};
