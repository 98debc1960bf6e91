// What the resource handler is given besides the stores: code for the resources and subresources that are not objects in
// storage. Keys name a resource as "group/resource" or "group/resource/subresource"; the core group is "", so the key of
// pods/exec is "/pods/exec" and that of token reviews "authentication.k8s.io/tokenreviews".
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Handler, RequestContext } from "../request.ts";

/** A create that stores nothing: the body is decoded and admission has run; what is returned is the answer (201). */
export type CreateHandler = (request: CreateRequest) => Promise<KubernetesObject> | KubernetesObject;

export interface CreateRequest {
  readonly type: ResourceType;
  /** "" or for example "token". */
  readonly subresource: string;
  /** From the path; "" for cluster-scoped resources. */
  readonly namespace: string;
  /** From the path: of the parent for subresources ("serviceaccounts/<name>/token"); "" for collections. */
  readonly name: string;
  /** The decoded body. */
  readonly object: KubernetesObject;
  readonly dryRun: boolean;
  readonly context: RequestContext;
}

export type Creators = Readonly<Record<string, CreateHandler>>;

/** Serves pods/exec, attach, portforward, log and proxy: everything of the request is theirs. CONNECT admission has run. */
export type Connects = Readonly<Record<string, Handler>>;

/** A resource that is read and lies in no store: its objects are found out when somebody asks. */
export interface ComputedReads {
  /** Kind in the answer to a name that there is not, where it is not the resource: "componentstatus". */
  readonly singular: string;
  list(): Promise<readonly KubernetesObject[]>;
  get(name: string): Promise<KubernetesObject | undefined>;
}

export type Computed = Readonly<Record<string, ComputedReads>>;

/** "/pods/exec", "apps/deployments". */
export function subresourceKey(type: { readonly group: string; readonly resource: string }, subresource = ""): string {
  return subresource === "" ? `${type.group}/${type.resource}` : `${type.group}/${type.resource}/${subresource}`;
}
