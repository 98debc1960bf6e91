// The functions, macros and names of types that every expression can use.

import type { CelLibrary } from "../library.ts";
import { standardMacros } from "../macros.ts";
import { arithmetic } from "./arithmetic.ts";
import { collections } from "./collections.ts";
import { comparison } from "./comparison.ts";
import { conversions } from "./conversions.ts";
import { logic } from "./logic.ts";
import { texts } from "./texts.ts";
import { times } from "./times.ts";
import { typeNames } from "./type-names.ts";

export const standardLibrary: CelLibrary = {
  name: "standard",
  functions: [...logic, ...comparison, ...arithmetic, ...collections, ...conversions, ...texts, ...times],
  macros: standardMacros,
  constants: typeNames,
};
