// The scale subresource: an autoscaling/v1 Scale as a window on an object's spec.replicas, status.replicas and selector.
// Writing it is an update of the object, under the manager's name and the subresource "scale"; who owns the replicas is looked
// at as in an object of its own.
import { invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { type Labels, labelMatcher, labelsMatcher } from "../../api/meta/selectors.ts";
import { badRequest, conflict, invalid } from "../../api/meta/status-error.ts";
import { setOf } from "../../api/patch/managed-fields/field-set.ts";
import { ownersOfScaled, type ReplicasIn, scaleOwners } from "../../api/patch/managed-fields/scale-owners.ts";
import { shapeOf } from "../../api/patch/managed-fields/shape.ts";
import { updateManagedFields, type WriteContext } from "../../api/patch/managed-fields/update.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { LabelSelector, ObjectMeta } from "../../api/types/meta-v1.ts";
import { validateObjectMeta } from "../../api/validation/object-meta.ts";
import { formatTime } from "../../base/clock.ts";
import { countAt, customScaleOf, withValueAt } from "./custom-scale.ts";
import type { ExpectedKind } from "./expected-kind.ts";
import { checkName, withMetadata } from "./object-meta.ts";
import type { ScalePaths } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import { type Change, type UpdateRequest, type UpdateResult, updateObject } from "./update.ts";
import { admissionRequest, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export const scaleKind: ExpectedKind = { group: "autoscaling", version: "v1", kind: "Scale", schema: "autoscaling-v1.Scale" };

export interface Scale extends KubernetesObject {
  readonly spec: { readonly replicas?: number };
  readonly status: { readonly replicas: number; readonly selector?: string };
}

interface Scalable extends KubernetesObject {
  readonly spec?: { readonly replicas?: number; readonly selector?: LabelSelector | Labels };
  readonly status?: { readonly replicas?: number };
}

/** An object's Scale. */
export function scaleOf(object: KubernetesObject): Scale {
  const { metadata, spec, status } = object as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const shown = { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp };
  const replicas = spec?.replicas ?? 0;
  const selector = selectorText(spec?.selector);
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: shown,
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: status?.replicas ?? 0, ...(selector === "" ? {} : { selector }) },
  };
}

/** "app=a,tier in (x,y)". ReplicationControllers have a map of labels where the others have a LabelSelector. */
function selectorText(selector: LabelSelector | Labels | undefined): string {
  if (!selector) return "";
  const isMap = Object.values(selector).every((value) => typeof value === "string");
  return String(isMap ? labelsMatcher(selector as Labels) : labelMatcher(selector as LabelSelector));
}

/** Stores what `change` makes of the object's Scale, which comes with who owns its fields. */
export async function updateScale(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest & Pick<UpdateRequest, "uid" | "keepsOwners">,
  change: (scale: Scale) => Change,
): Promise<UpdateResult> {
  const kind = { group: scaleKind.group, version: scaleKind.version, kind: scaleKind.kind };
  const paths = store.definition.custom?.scale;
  const shown = paths ? (object: KubernetesObject) => customScaleOf(object, paths, true) : scaleOf;
  const replicasIn = replicasOf(store);
  return updateObject(env, store, {
    ...request,
    strategy: store.definition.update,
    admissionView: { kind, of: shown },
    change: async (current) => {
      const object = current as Scalable; // an absent object has been refused: scale creates nothing
      const oldScale = withOwners(shown(object), scaleOwners(object.metadata.managedFields, replicasIn));
      const isUnset = paths !== undefined && countAt(object, paths.specReplicas).value === undefined;
      const live = isUnset ? { ...oldScale, spec: { replicas: unsetReplicas } } : oldScale;
      const { object: changed, fieldsManaged } = change(live);
      checkName(changed, request.name);
      const wanted = (fieldsManaged ? changed : updateManagedFields(live, changed, scaleContext(env, request))) as Scale;
      const subject = { operation: "UPDATE", type: store.type, name: request.name, object: wanted, oldObject: live, kind } as const;
      const scale = ((await env.admission.mutate(admissionRequest(request, subject))) ?? wanted) as Scale;
      const scaled = { entries: object.metadata.managedFields, apiVersion: apiVersionOf(store.type), replicasIn };
      const owners = ownersOfScaled(wanted.metadata.managedFields, scaled);
      return {
        object: withOwners(paths ? withCustomScale(object, scale, paths) : withScale(store, object, scale), owners),
        fieldsManaged: true,
      };
    },
  });
}

/** How the fields of a Scale are owned by who writes it. */
export function scaleContext(env: WriteEnvironment, { manager, subresource }: WriteRequest): WriteContext {
  return { shape: shapeOf(builtInSchemas.get(scaleKind.schema ?? "")), manager, subresource, now: formatTime(env.clock.now()) };
}

const builtInReplicas = setOf(["spec", "replicas"]);

function replicasOf({ type, definition }: ResourceStore): ReplicasIn {
  const { custom } = definition;
  if (!custom) return (apiVersion) => (groupOf(apiVersion) === type.group ? builtInReplicas : undefined);
  return (apiVersion) => {
    const paths = custom.scaleIn(apiVersion);
    return paths ? setOf(paths.specReplicas) : paths;
  };
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "");

function withOwners<T extends KubernetesObject>(object: T, managedFields: ObjectMeta["managedFields"]): T {
  if (managedFields) return withMetadata(object, { ...object.metadata, managedFields });
  if (!object.metadata.managedFields) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return withMetadata(object, metadata as ObjectMeta);
}

/** Stands in the Scale of a custom object that does not say how many it wants, so that a patch which does not either is noticed. */
const unsetReplicas = -(2 ** 31);

/** The object with what its Scale says; custom objects are checked by the paths of their scale instead. */
function withScale({ type }: ResourceStore, object: Scalable, scale: Scale): Scalable {
  const { name, uid } = object.metadata;
  const replicas = scale.spec?.replicas ?? 0;
  const errors = validateObjectMeta(scale, { namespaced: true });
  if (replicas < 0) errors.push(invalidValue("spec.replicas", replicas, "must be greater than or equal to 0"));
  if (errors.length > 0) throw invalid(scaleKind, name, errors);
  const { uid: wantedUid = "" } = scale.metadata;
  if (wantedUid !== "" && wantedUid !== uid)
    throw conflict(
      { group: type.group, resource: `${type.resource}/scale` },
      name,
      `Precondition failed: UID in precondition: ${wantedUid}, UID in object meta: ${uid}`,
    );
  return { ...object, metadata: withRevisionOf(scale, object.metadata), spec: { ...object.spec, replicas } };
}

function withCustomScale(object: KubernetesObject, scale: Scale, { specReplicas }: ScalePaths): KubernetesObject {
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas === unsetReplicas) throw badRequest(`the spec replicas field ".${specReplicas.join(".")}" cannot be empty`);
  return withValueAt({ ...object, metadata: withRevisionOf(scale, object.metadata) }, specReplicas, replicas);
}

function withRevisionOf({ metadata: { resourceVersion: sent = "" } }: Scale, metadata: ObjectMeta): ObjectMeta {
  return sent === "" ? metadata : { ...metadata, resourceVersion: sent };
}
