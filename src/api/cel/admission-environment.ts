// What expressions of webhooks and policies may read, and the environments that say so.
import type { CelEnvironment } from "../../cel/cel.ts";
import { type CelType, dynType } from "../../cel/types.ts";
import { admissionRequestType, namespaceType } from "./admission-types.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import {
  type AccessAnswers,
  type AccessSubject,
  authorizerType,
  CelAuthorizer,
  CelResourceCheck,
  resourceCheckType,
} from "./library/authorizer.ts";
import { jsonPatchLibrary, mutationType } from "./mutation-types.ts";

export interface AdmissionVariables {
  readonly params: boolean;
  readonly authorizer: boolean;
  /** Types to make patches of. Default: false. */
  readonly patches?: boolean;
}

const known = new Map<string, CelEnvironment>();

/** There are few combinations: each is made once. */
export function admissionEnvironment({ params, authorizer, patches = false }: AdmissionVariables): CelEnvironment {
  const key = `${params} ${authorizer} ${patches}`;
  let environment = known.get(key);
  if (!environment) {
    environment = kubernetesEnvironment().extend({
      variables: admissionVariables({ params, authorizer }, { object: dynType, params: dynType }),
      ...(patches ? { libraries: [jsonPatchLibrary], types: mutationType } : {}),
    });
    known.set(key, environment);
  }
  return environment;
}

/** `types`: what objects and parameters are known to be. */
export function admissionVariables(
  { params, authorizer }: AdmissionVariables,
  types: { readonly object: CelType; readonly params: CelType },
): Readonly<Record<string, CelType>> {
  return {
    object: types.object,
    oldObject: types.object,
    namespaceObject: namespaceType,
    request: admissionRequestType,
    ...(params ? { params: types.params } : {}),
    ...(authorizer ? { authorizer: authorizerType, "authorizer.requestResource": resourceCheckType } : {}),
  };
}

/** What is to be admitted: JSON. */
export interface AdmissionInput {
  /** Absent for deletions. */
  readonly object?: unknown;
  /** Absent for creations. */
  readonly oldObject?: unknown;
  readonly request: AdmissionRequestFields;
  /** Absent for what has no namespace. */
  readonly namespaceObject?: unknown;
  readonly params?: unknown;
  readonly user: AccessSubject;
  /** Who answers the authorizer's questions; absent where expressions may not ask. */
  readonly access?: AccessAnswers | undefined;
}

interface Resource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** The request as an AdmissionReview has it, without uid and objects. */
export interface AdmissionRequestFields {
  readonly kind: Kind;
  readonly resource: Resource;
  readonly subResource?: string;
  readonly requestKind: Kind;
  readonly requestResource: Resource;
  readonly requestSubResource?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly operation: string;
  readonly userInfo: unknown;
  readonly dryRun: boolean;
  readonly options: unknown;
}

/** The variables of an input, by name. */
export function admissionValues(input: AdmissionInput): Readonly<Record<string, unknown>> {
  const { access, request } = input;
  const authorizer = access && new CelAuthorizer(input.user, access);
  const { group, resource } = request.requestResource;
  const { requestSubResource: subresource = "", namespace = "", name = "" } = request;
  return {
    object: input.object ?? null,
    oldObject: input.oldObject ?? null,
    request,
    namespaceObject: input.namespaceObject ?? null,
    params: input.params ?? null,
    ...(authorizer
      ? { authorizer, "authorizer.requestResource": new CelResourceCheck(authorizer, { group, resource, subresource, namespace, name }) }
      : {}),
  };
}
