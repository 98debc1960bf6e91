// The environment that every expression of the API is compiled in: the language with the extensions and libraries that
// Kubernetes v1.36 gives it. Made when the first expression is met, and then shared.
import { type CelEnvironment, createCelEnvironment } from "../../cel/cel.ts";
import { lists } from "../../cel/extensions/lists.ts";
import { literalValidators } from "../../cel/extensions/literal-validators.ts";
import { optionals } from "../../cel/extensions/optionals.ts";
import { sets } from "../../cel/extensions/sets.ts";
import { strings } from "../../cel/extensions/strings.ts";
import { twoVariableComprehensions } from "../../cel/extensions/two-variables.ts";
import { authorizerLibrary } from "./library/authorizer.ts";
import { formatLibrary } from "./library/format.ts";
import { listLibrary } from "./library/lists.ts";
import { cidrLibrary, ipLibrary } from "./library/network.ts";
import { quantityLibrary } from "./library/quantity.ts";
import { regexLibrary } from "./library/regex.ts";
import { semverLibrary } from "./library/semver.ts";
import { urlLibrary } from "./library/urls.ts";

let known: CelEnvironment | undefined;

export function kubernetesEnvironment(): CelEnvironment {
  known ??= createCelEnvironment({
    // A validator sees to that: arguments of format() are exempt.
    homogeneousLiterals: false,
    libraries: [
      optionals,
      strings,
      sets,
      twoVariableComprehensions,
      lists,
      literalValidators,
      urlLibrary,
      regexLibrary,
      listLibrary,
      authorizerLibrary,
      quantityLibrary,
      ipLibrary,
      cidrLibrary,
      formatLibrary,
      semverLibrary,
    ],
  });
  return known;
}
