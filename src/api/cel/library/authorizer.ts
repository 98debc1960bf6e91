// The authorizer in expressions: questions to authorization, put together step by step and asked by check(). Whoever asks in
// earnest may have to wait for the answer, which an expression cannot: then the evaluation ends with AccessPending, and is
// begun again when the answer is there (see evaluateWithAccess in ../access.ts).

import { CelError } from "../../../cel/cel.ts";
import { actualSize } from "../../../cel/cost/actual.ts";
import { addRanges, scaleRange, traversalFactor } from "../../../cel/cost/estimates.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { boolType, type CelObjectType, type CelType, stringType } from "../../../cel/types.ts";
import { CelOpaque, type CelValue } from "../../../cel/values.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "../../meta/names.ts";
import { withUnitResults } from "./costs.ts";
import { fieldless } from "./values.ts";

export const authorizerType: CelObjectType = fieldless("kubernetes.authorization.Authorizer");
const pathCheckType = fieldless("kubernetes.authorization.PathCheck");
const groupCheckType = fieldless("kubernetes.authorization.GroupCheck");
export const resourceCheckType: CelObjectType = fieldless("kubernetes.authorization.ResourceCheck");
const decisionType = fieldless("kubernetes.authorization.Decision");

/** Who is asked about. */
export interface AccessSubject {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AccessQuestion {
  readonly user: AccessSubject;
  readonly verb: string;
  readonly isResourceRequest: boolean;
  readonly path: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}

export interface AccessAnswer {
  readonly allowed: boolean;
  readonly reason: string;
  /** Why it could not be decided. */
  readonly error?: string;
}

/** Answers, or throws AccessPending. */
export interface AccessAnswers {
  answer(question: AccessQuestion): AccessAnswer;
}

abstract class Receiver extends CelOpaque {
  readonly typeName: string;
  constructor({ name }: CelObjectType) {
    super();
    this.typeName = name;
  }
  equals(other: CelValue): boolean {
    return other === this;
  }
  toJson(): never {
    throw new CelError(`type conversion error from '${this.typeName}' to JSON`);
  }
}

export class CelAuthorizer extends Receiver {
  readonly user: AccessSubject;
  readonly answers: AccessAnswers;
  constructor(user: AccessSubject, answers: AccessAnswers) {
    super(authorizerType);
    this.user = user;
    this.answers = answers;
  }
}

class PathCheck extends Receiver {
  readonly authorizer: CelAuthorizer;
  readonly path: string;
  constructor(authorizer: CelAuthorizer, path: string) {
    super(pathCheckType);
    this.authorizer = authorizer;
    this.path = path;
  }
}

class GroupCheck extends Receiver {
  readonly authorizer: CelAuthorizer;
  readonly group: string;
  constructor(authorizer: CelAuthorizer, group: string) {
    super(groupCheckType);
    this.authorizer = authorizer;
    this.group = group;
  }
}

interface CheckedResource {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}

/** The right to do something to a resource; `authorizer.requestResource` is one for that of the request. */
export class CelResourceCheck extends Receiver {
  readonly authorizer: CelAuthorizer;
  readonly checked: CheckedResource;
  constructor(authorizer: CelAuthorizer, checked: CheckedResource) {
    super(resourceCheckType);
    this.authorizer = authorizer;
    this.checked = checked;
  }
}

class Decision extends Receiver {
  readonly answer: AccessAnswer;
  constructor(answer: AccessAnswer) {
    super(decisionType);
    this.answer = answer;
  }
}

const onNothing = { path: "", apiGroup: "", apiVersion: "", resource: "", subresource: "", namespace: "", name: "" };

function checkPath({ authorizer, path }: PathCheck, verb: string): Decision {
  return new Decision(authorizer.answers.answer({ ...onNothing, user: authorizer.user, verb, isResourceRequest: false, path }));
}

function checkResource({ authorizer, checked }: CelResourceCheck, verb: string): Decision {
  const { group, ...resource } = checked;
  const question = { ...onNothing, ...resource, user: authorizer.user, verb, isResourceRequest: true, apiGroup: group, apiVersion: "*" };
  return new Decision(authorizer.answers.answer(question));
}

function forServiceAccount(authorizer: CelAuthorizer, namespace: string, name: string): CelAuthorizer {
  if (isDNS1123Subdomain(name).length > 0) throw new CelError("Invalid service account name");
  if (isDNS1123Label(namespace).length > 0) throw new CelError("Invalid service account namespace");
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
  return new CelAuthorizer({ name: `system:serviceaccount:${namespace}:${name}`, groups }, authorizer.answers);
}

function filled(what: string, text: string): string {
  if (text.trim() === "") throw new CelError(`${what} must not be empty`);
  return text;
}

type Step<T> = (receiver: T, text: string) => CelValue;

const step = <T extends Receiver>(id: string, from: CelType, to: CelType, take: Step<T>): CelOverload => ({
  id,
  member: true,
  parameters: [from, stringType],
  result: to,
  call: ([receiver, text]) => take(receiver as unknown as T, text as string), // of the first parameter's type
});

const refine = (id: string, part: keyof CheckedResource): CelOverload =>
  step<CelResourceCheck>(
    id,
    resourceCheckType,
    resourceCheckType,
    ({ authorizer, checked }, text) => new CelResourceCheck(authorizer, { ...checked, [part]: text }),
  );

const checkCost = 350_000;
const check = (overload: CelOverload): CelOverload => ({
  ...overload,
  cost: () => checkCost,
  estimate: () => ({ cost: { min: checkCost, max: checkCost } }),
});

const read = (id: string, result: CelType, of: (answer: AccessAnswer) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [decisionType],
  result,
  call: ([decision]) => of((decision as Decision).answer),
});

/** A selector is charged as the list of requirements that it is parsed into: one for every two characters. */
const selectorBase = { min: 10, max: 10 };
const requirementCost = 10 + 40;
const selectorCosts = ({ min, max }: { readonly min: number; readonly max: number }): { readonly min: number; readonly max: number } =>
  addRanges(addRanges(selectorBase, scaleRange({ min, max }, traversalFactor)), scaleRange(scaleRange({ min, max }, 0.5), requirementCost));

const selector = (id: string, part: "fieldSelector" | "labelSelector"): CelOverload => ({
  ...refine(id, part),
  cost: ([, text]) => selectorCosts({ min: actualSize(text ?? null), max: actualSize(text ?? null) }).max,
  estimate: ({ args: [text] }) => text && { cost: selectorCosts(text.size) },
});

export const authorizerLibrary: CelLibrary = {
  name: "kubernetes.authz",
  functions: withUnitResults([
    {
      name: "path",
      overloads: [
        step<CelAuthorizer>("authorizer_path", authorizerType, pathCheckType, (of, text) => new PathCheck(of, filled("path", text))),
      ],
    },
    {
      name: "group",
      overloads: [step<CelAuthorizer>("authorizer_group", authorizerType, groupCheckType, (of, text) => new GroupCheck(of, text))],
    },
    {
      name: "serviceAccount",
      overloads: [
        {
          id: "authorizer_serviceaccount",
          member: true,
          parameters: [authorizerType, stringType, stringType],
          result: authorizerType,
          call: ([authorizer, namespace, name]) => forServiceAccount(authorizer as CelAuthorizer, namespace as string, name as string),
        },
      ],
    },
    {
      name: "resource",
      overloads: [
        step<GroupCheck>(
          "groupcheck_resource",
          groupCheckType,
          resourceCheckType,
          ({ authorizer, group }, text) => new CelResourceCheck(authorizer, { group, resource: filled("resource", text) }),
        ),
      ],
    },
    { name: "subresource", overloads: [refine("resourcecheck_subresource", "subresource")] },
    { name: "namespace", overloads: [refine("resourcecheck_namespace", "namespace")] },
    { name: "name", overloads: [refine("resourcecheck_name", "name")] },
    { name: "fieldSelector", overloads: [selector("authorizer_fieldselector", "fieldSelector")] },
    { name: "labelSelector", overloads: [selector("authorizer_labelselector", "labelSelector")] },
    {
      name: "check",
      overloads: [
        check(step<PathCheck>("pathcheck_check", pathCheckType, decisionType, checkPath)),
        check(step<CelResourceCheck>("resourcecheck_check", resourceCheckType, decisionType, checkResource)),
      ],
    },
    { name: "errored", overloads: [read("decision_errored", boolType, ({ error }) => error !== undefined)] },
    { name: "error", overloads: [read("decision_error", stringType, ({ error = "" }) => error)] },
    { name: "allowed", overloads: [read("decision_allowed", boolType, ({ allowed }) => allowed)] },
    { name: "reason", overloads: [read("decision_reason", stringType, ({ reason }) => reason)] },
  ]),
};
