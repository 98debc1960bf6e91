// The warnings in the status of a ValidatingAdmissionPolicy: what its expressions would be told if the objects it is for had
// the types that they have, which its own compilation does not know. Rules with wildcards are left out, and of the kinds of
// one rule no more than ten are looked at.
import type { CelEnvironment } from "../../cel/cel.ts";
import { type CelType, dynType } from "../../cel/types.ts";
import type { GroupVersionKind } from "../resource-type.ts";
import type { ExpressionWarning, NamedRuleWithOperations, ValidatingAdmissionPolicy, Variable } from "../types/admissionregistration-v1.ts";
import { admissionVariables } from "./admission-environment.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import { VariablesDeclaration } from "./policy-variables.ts";

export interface KnownKinds {
  /** The kinds of a resource's objects; none for a resource that is not served. */
  kindsOf(resource: { readonly group: string; readonly version: string; readonly resource: string }): readonly GroupVersionKind[];
  /** undefined for kinds whose fields are not known. */
  typeOf(kind: GroupVersionKind): CelType | undefined;
}

const maxKindsOfRule = 10;

export function checkPolicyTypes({ spec }: ValidatingAdmissionPolicy, kinds: KnownKinds): readonly ExpressionWarning[] {
  const { validations = [], variables = [], paramKind, matchConstraints } = spec;
  const paramType = paramKind && kinds.typeOf(parseKind(paramKind.apiVersion, paramKind.kind));
  const checks = kindsToCheck(matchConstraints?.resourceRules ?? [], kinds).flatMap((kind) => {
    const type = kinds.typeOf(kind);
    return type ? [{ kind, environment: environmentOf(type, { params: paramKind !== undefined, paramType, variables }) }] : [];
  });
  const check = (fieldRef: string, expression: string): readonly ExpressionWarning[] => {
    const found = checks.flatMap(({ kind, environment }) => {
      const { message } = environment.compile(expression);
      return message === undefined ? [] : [`${kindText(kind)}: ${message}\n`];
    });
    return found.length === 0 ? [] : [{ fieldRef, warning: found.join("\n") }];
  };
  return validations.flatMap(({ expression, messageExpression }, i) => [
    ...check(`spec.validations[${i}].expression`, expression),
    ...(messageExpression ? check(`spec.validations[${i}].messageExpression`, messageExpression) : []),
  ]);
}

const kindText = (kind: GroupVersionKind): string => `${kind.group}/${kind.version}, Kind=${kind.kind}`;

function parseKind(apiVersion = "", kind = ""): GroupVersionKind {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

function kindsToCheck(rules: readonly NamedRuleWithOperations[], kinds: KnownKinds): readonly GroupVersionKind[] {
  const found = new Map<string, GroupVersionKind>();
  const sorted = (): readonly GroupVersionKind[] => [...found.keys()].sort().map((key) => found.get(key) as GroupVersionKind);
  for (const rule of rules) {
    let count = 0;
    for (const kind of kindsOfRule(rule, kinds)) {
      found.set(`${kind.group}\0${kind.version}\0${kind.kind}`, kind);
      if (++count === maxKindsOfRule) return sorted();
    }
  }
  return sorted();
}

/** What the lists of a rule multiply to may be more than could ever be looked up. */
const maxCombinations = 10_000;

function* kindsOfRule(
  { apiGroups = [], apiVersions = [], resources = [] }: NamedRuleWithOperations,
  kinds: KnownKinds,
): Iterable<GroupVersionKind> {
  if (apiGroups.some((group) => group.includes("*")) || apiVersions.some((version) => version.includes("*"))) return;
  const plain = resources.filter((resource) => !/[*/]/.test(resource)).sort();
  const versions = apiVersions.toSorted();
  let count = 0;
  for (const group of apiGroups.toSorted())
    for (const version of versions)
      for (const resource of plain) {
        if (++count > maxCombinations) return;
        yield* kinds.kindsOf({ group, version, resource });
      }
}

interface TypedParts {
  readonly params: boolean;
  /** undefined: nothing is known of it. */
  readonly paramType: CelType | undefined;
  readonly variables: readonly Variable[];
}

function environmentOf(object: CelType, { params, paramType, variables }: TypedParts): CelEnvironment {
  const declared = admissionVariables({ params, authorizer: true }, { object, params: paramType ?? dynType });
  const declaration = new VariablesDeclaration();
  const environment = kubernetesEnvironment().extend({ variables: { ...declared, variables: declaration.type } });
  for (const { name, expression } of variables) declaration.add(name, environment.compile(expression).program?.resultType ?? dynType);
  return environment;
}
