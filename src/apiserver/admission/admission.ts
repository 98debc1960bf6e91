// Admission: plugins that may change (mutating) or refuse (validating) a write, after authorization and before it is
// stored. The registry runs all mutating plugins in order, then defaults and validates, then all validating ones.

import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import type { Informer } from "../../client/informer.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Reinvocation } from "./reinvocation.ts";

export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  readonly resource: ResourceType;
  /** "" for the object itself. */
  readonly subresource: string;
  /** Of the object in the request: for subresources such as binding or scale not the resource's kind. */
  readonly kind: GroupVersionKind;
  readonly namespace: string;
  readonly name: string;
  /** Absent for DELETE. For CONNECT the options object. */
  readonly object?: KubernetesObject;
  /** For UPDATE and DELETE. */
  readonly oldObject?: KubernetesObject;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions of the request. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /** Adds a Warning header to the answer. */
  warn(text: string): void;
  /**
   * Annotates the audit event, where the request is recorded. A key that is there keeps its value. What tells something of
   * the object's content is left out where contents are not recorded.
   */
  annotate(key: string, value: string, options?: { readonly tellsContent?: boolean }): void;
  /** Somebody else was waited for so long: the time is not the server's own. */
  waited?(ms: number, part: "mutating-webhook" | "validating-webhook"): void;
  /** For mutating plugins that may have to be asked twice. */
  readonly reinvocation: Reinvocation;
  readonly signal: AbortSignal;
  /** When the signal aborts at the latest, in milliseconds since the epoch; absent where nobody has set a time. */
  readonly endsAtMs?: number | undefined;
}

export interface AdmissionPlugin {
  /** Upstream's name: "NamespaceLifecycle". */
  readonly name: string;
  /** What has to have been read before the plugin is asked anything: where what is not known would be taken for absent. */
  readonly waitsFor?: readonly ResourceType[];
  /** The resources whose requests may concern it (those about their subresources included); absent: any. */
  readonly only?: readonly ResourceType[];
  /** Which requests concern it; asked before anything else. */
  handles(request: AdmissionRequest): boolean;
  /** Gives the object to go on with (the same one where nothing changed). Throws StatusError to refuse. */
  admit?(request: AdmissionRequest): Promise<KubernetesObject | undefined> | KubernetesObject | undefined;
  /**
   * What is wrong with the object besides its kind's own rules, where these have found something: it is told first, in the same
   * answer. Where they have found nothing, `validate` is asked.
   */
  problems?(request: AdmissionRequest): Promise<readonly FieldError[]>;
  /** Throws StatusError to refuse. */
  validate?(request: AdmissionRequest): Promise<void> | void;
}

/** The mirror of a resource once it has been loaded: for plugins to which an empty one would mean that there is nothing. */
export async function loadedInformer<T extends KubernetesObject>(reader: AdmissionReader, type: ResourceType<T>): Promise<Informer<T>> {
  const informer = reader.informer(type);
  if (!informer.hasSynced) await informer.synced();
  return informer;
}

/** What plugins may read: indexed mirrors of the server's own watch caches, without a round trip. */
export interface AdmissionReader {
  informer<T extends KubernetesObject>(type: ResourceType<T>): Informer<T>;
}
