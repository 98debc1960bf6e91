// A resource as the API server serves it, described in one place by one value. resources/ has a file for each group of
// kinds with rules of their own; a kind without a file gets `plainResource`: stored, listed, watched, no rules beyond
// those all objects share. Nothing else in the API server names a kind, except subresources that are code.
import type { TableConvertor } from "../../api/encode/table/table.ts";
import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { Shape } from "../../api/patch/managed-fields/shape.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import type { UserInfo } from "../authn/user.ts";

/** What a strategy may depend on besides the object. */
export interface StrategyContext {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly userName: string;
  /** The warnings of the answer; preparing may add some. */
  readonly warnings: string[];
  /** Who writes, for kinds that record it (CertificateSigningRequest). */
  readonly user?: UserInfo;
}

/** How one kind of write is prepared and checked: the object itself, or one of its subresources. */
export interface UpdateStrategy<T> {
  /** Resets what this kind of write may not change (status on the main path, spec on status) and sets what it implies. */
  prepare?(object: T, old: T, context: StrategyContext): T;
  validate?(object: T, old: T): readonly FieldError[];
  /** Of what is not refused. */
  warnings?(object: T, old: T): readonly string[];
  /** What validation has found that is no problem: told of what is refused too. */
  validationWarnings?(object: T): readonly string[];
  /** As `metadataOnUpdate`, of the strategies of subresources. */
  readonly metadata?: readonly MetadataCheck[];
}

/** Metadata as a whole, or what an update may do to it. */
export type MetadataCheck = "whole" | "changes";

/** Where the fields lie that the scale subresource of custom resources shows. Paths are lists of field names. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  /** Of a field that holds a selector as text. */
  readonly selector?: readonly string[];
}

/** What OpenAPI documents tell of a custom resource. */
export interface PublishedSchema {
  /** Changes with the definition. */
  readonly key: string;
  readonly schema: JSONSchemaProps | undefined;
  readonly preserveUnknownFields: boolean;
  /** "spec.colour". */
  readonly selectableFields: readonly string[];
}

/** What custom resources have that built-in kinds have not: all of it follows from their definition. */
export interface CustomRules {
  /** Checks the metadata of a parsed object and takes away what its schema does not know. Throws DecodeError. */
  decode(value: unknown): { readonly object: Readonly<Record<string, unknown>>; readonly unknown: readonly string[] };
  /** The same for what applying has made of an object, of which nothing is taken away. Throws DecodeError. */
  decodeApplied(value: unknown): Readonly<Record<string, unknown>>;
  /** How the fields are owned. */
  shape(): Shape;
  /** The same of another version, served or not; undefined where the definition has no such version. */
  shapeIn(apiVersion: string): Shape | undefined;
  readonly scale?: ScalePaths;
  /** The same of another version; null where that has no scale, undefined where the definition has no such version. */
  scaleIn(apiVersion: string): ScalePaths | null | undefined;
  /** Why nothing can be created now. */
  createRefusal(): string | undefined;
  /** The resource as discovery lists it: without the verbs that are refused while its definition is being deleted. */
  listedType(): ResourceType;
  readonly published: PublishedSchema;
}

/** Conversion by someone else. All throw StatusError. */
export interface ObjectConversion {
  /** Whether a stored object has to be converted to be served. */
  isNeeded(stored: KubernetesObject): boolean;
  /** As they are served, in the same order. */
  fromStored(stored: readonly KubernetesObject[]): Promise<readonly KubernetesObject[]>;
  /** As it is to be stored. */
  toStored(object: KubernetesObject): Promise<KubernetesObject>;
}

export interface ResourceDefinition<T extends KubernetesObject = KubernetesObject> {
  readonly type: ResourceType<T>;
  /** Key space below /registry/: "pods", "minions", "services/specs", "apiregistration.k8s.io/apiservices". */
  readonly storagePath: string;
  /** Serves the objects of another version's or group's storage (events.k8s.io on events, autoscaling/v1 on v2). */
  readonly sharesStorageOf?: {
    readonly type: ResourceType;
    /** From what is stored to what this type serves, and back. */
    readonly fromStored: (stored: KubernetesObject) => T;
    readonly toStored: (object: T) => KubernetesObject;
    /** Present where a webhook converts between some versions; then `fromStored` and `toStored` are for the others. */
    readonly conversion?: ObjectConversion;
    /** Whether an object would be stored otherwise now. `isChanged`: it is served otherwise than it is stored. Default: it would not. */
    readonly isOutdated?: (stored: KubernetesObject, isChanged: boolean) => boolean;
  };
  /** By apiVersion: how objects are read that lie in the store in a version which has no definition any more. */
  readonly storedVersions?: Readonly<Record<string, (stored: KubernetesObject) => T>>;
  /**
   * Fills in upstream's defaults after decoding, on every write, and on objects read from storage. Returns the same object where
   * nothing was missing. `nowMs` is when a write takes place, for defaults that say it; what is stored has them.
   */
  readonly defaults?: (object: T, nowMs?: number) => T;
  /**
   * Completes what older servers stored otherwise than by leaving out what has a default: on objects read from storage alone,
   * after their defaults. Returns the same object where nothing was missing.
   */
  readonly completed?: (object: T) => T;
  /**
   * Takes away the fields behind feature gates that are off: before a strategy prepares the object, after admission has seen it.
   * `old` is what an update goes over.
   */
  readonly withoutGated?: (object: T, old?: T) => T;
  /** Kind of name: default DNS subdomain. Returns the texts of what is wrong. */
  readonly validateName?: (name: string, prefix: boolean, object: T) => readonly string[];
  /** "afterwards": the metadata of a new object is looked at only where the kind's own rules have found nothing. Default: first. */
  readonly metadataOnCreate?: "afterwards";
  /**
   * What the kind's own rules check of the metadata of an update, besides what every update is checked for, in their order: all
   * of it ("whole") or what an update may do to it ("changes"). A problem is listed as often as it is found. Default: changes.
   */
  readonly metadataOnUpdate?: readonly MetadataCheck[];
  /**
   * Metadata's generation is counted: 1 at creation, one more when anything but metadata and status changes. Default: whether
   * the type has a status subresource. "to the letter": a list or map (of the spec, or of what there is instead) that is sent empty is a change, as none is kept.
   */
  readonly countsGeneration?: boolean | "to the letter";
  readonly create: {
    /** The object as it was decoded, with the parts that others before it had too as the same values (shared-parts.ts). */
    withSharedParts?(object: T): T;
    prepare?(object: T, context: StrategyContext): T;
    validate?(object: T): readonly FieldError[];
    warnings?(object: T): readonly string[];
  };
  readonly update: UpdateStrategy<T>;
  /** Strategy of the status subresource, where there is one. */
  readonly status?: UpdateStrategy<T>;
  /** Other subresources that are written like the object: "resize", "ephemeralcontainers", "approval", "finalize". */
  readonly subresources?: Readonly<Record<string, UpdateStrategy<T>>>;
  /** PUT to an absent name creates it. */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without a resourceVersion overwrites. Default true. */
  readonly allowUnconditionalUpdate?: boolean;
  /** Values that field selectors see beyond metadata.name and metadata.namespace. Keys are all supported fields. */
  readonly selectableFields?: Readonly<Record<string, (object: T) => string>>;
  /** Field selectors cannot have metadata.namespace, though the kind is namespaced. */
  readonly namespaceNotSelectable?: true;
  /** Why a field selector cannot have another field, where the kind says so in words of its own. */
  readonly fieldRefusal?: (field: string, type: ResourceType) => string;
  /** How deletion begins. Default: at once. Pods: their grace period. */
  readonly gracefulDeletion?: {
    /** Seconds of grace for this deletion (0: at once), from what the client asked and the object says. */
    gracePeriodSeconds(object: T, requested: number | undefined): number;
  };
  /** Deletion in two steps of the kind's own (namespaces): the first DELETE marks, and the object stays until it may disappear. */
  readonly deletion?: {
    /** The object marked: deletionTimestamp and whatever shows that it is being deleted. */
    begin(object: T, context: StrategyContext): T;
    /** Whether nothing but metadata.finalizers keeps it. */
    mayFinish(object: T): boolean;
    /** The first DELETE does nothing about dependents, whatever it asks. */
    readonly leavesDependents?: true;
  };
  /** Propagation when the client does not say: default "background". */
  readonly defaultDeletionPropagation?: "orphan" | "background" | "unsupported";
  /** Who deletes without saying what becomes of dependents is warned. */
  readonly orphaningWarning?: string;
  /** Where the answer to a DELETE is the object itself rather than a Status. Default false. */
  readonly deletionReturnsObject?: boolean;
  /** Objects disappear after so many seconds (events). */
  readonly ttlSeconds?: (object: T) => number | undefined;
  /** Annotations in which this version carries what other versions have as fields: metadata on its own is shown without them. */
  readonly fieldAnnotations?: readonly string[];
  /** Why such annotations cannot be read as those fields: who sends them is refused as for a field of a wrong type. */
  readonly unreadable?: (object: T) => string | undefined;
  /**
   * Fields that a write to the object ("") or to a subresource leaves as they were, and that its writer does not come to
   * own: "metadata.labels". Default: the status, and for the status subresource the spec.
   */
  readonly resetFields?: Readonly<Record<string, readonly string[]>>;
  /** What every request for the resource is warned of: "v1 Endpoints is deprecated in v1.33+". */
  readonly deprecation?: string;
  /** Its status subresource is never shown as a table. */
  readonly tablelessStatus?: true;
  /** Server-side table; default: Name and Created At. */
  readonly table?: TableConvertor<T>;
  /** Present for custom resources only. */
  readonly custom?: CustomRules;
}
