// The scale subresource: an autoscaling/v1 Scale as a window on an object's spec.replicas, status.replicas and selector.
// Writing it is an update of the object, under the manager's name and the subresource "scale".
import { invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { type Labels, labelMatcher, labelsMatcher } from "../../api/meta/selectors.ts";
import { badRequest, invalid } from "../../api/meta/status-error.ts";
import type { LabelSelector, ObjectMeta } from "../../api/types/meta-v1.ts";
import type { ExpectedKind } from "./body.ts";
import { countAt, customScaleOf, withValueAt } from "./custom-scale.ts";
import { checkName } from "./object-meta.ts";
import type { ScalePaths } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import { type Change, type UpdateResult, updateObject } from "./update.ts";
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

/** Stores what `change` makes of the object's Scale. */
export async function updateScale(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  change: (scale: Scale) => KubernetesObject,
): Promise<UpdateResult> {
  return updateScaled(env, store, request, (object, oldScale, { paths }) => {
    const isUnset = paths !== undefined && countAt(object, paths.specReplicas).value === undefined;
    const wanted = change(isUnset ? { ...oldScale, spec: { replicas: unsetReplicas } } : oldScale);
    checkName(wanted, request.name);
    return { wanted, changeTo: (scale) => ({ object: withScale(object, scale, paths) }) };
  });
}

/** Stores an applied Scale: `apply` makes the scaled object of the current one, with its ownership. */
export async function applyScale(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  apply: (object: KubernetesObject | undefined) => Change,
): Promise<UpdateResult> {
  return updateScaled(env, store, request, (object, _oldScale, { shown, paths }) => {
    const applied = apply(object);
    const wanted = shown(applied.object);
    return {
      wanted,
      changeTo: (scale) => (scale === wanted ? applied : { ...applied, object: withScale(applied.object as Scalable, scale, paths) }),
    };
  });
}

interface ScaleForm {
  readonly shown: (object: KubernetesObject) => Scale;
  readonly paths: ScalePaths | undefined;
}

interface WantedScale {
  readonly wanted: KubernetesObject;
  /** The change of the scaled object, from the Scale as admission leaves it. */
  readonly changeTo: (scale: Scale) => Change;
}

async function updateScaled(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  want: (object: Scalable, oldScale: Scale, form: ScaleForm) => WantedScale,
): Promise<UpdateResult> {
  const kind = { group: scaleKind.group, version: scaleKind.version, kind: scaleKind.kind };
  const paths = store.definition.custom?.scale;
  const shown = paths ? (object: KubernetesObject) => customScaleOf(object, paths, true) : scaleOf;
  return updateObject(env, store, {
    ...request,
    strategy: store.definition.update,
    admissionView: { kind, of: shown },
    change: async (current) => {
      const object = current as Scalable; // an absent object has been refused: scale creates nothing
      const oldScale = shown(object);
      const { wanted, changeTo } = want(object, oldScale, { shown, paths });
      const subject = { operation: "UPDATE", type: store.type, name: request.name, object: wanted, oldObject: oldScale, kind } as const;
      return changeTo(((await env.admission.mutate(admissionRequest(request, subject))) ?? wanted) as Scale);
    },
  });
}

/** Stands in the Scale of a custom object that does not say how many it wants, so that a patch which does not either is noticed. */
const unsetReplicas = -(2 ** 31);

function withScale(object: Scalable, scale: Scale, paths: ScalePaths | undefined): KubernetesObject {
  const replicas = scale.spec?.replicas ?? 0;
  if (paths && replicas === unsetReplicas) throw badRequest(`the spec replicas field ".${paths.specReplicas.join(".")}" cannot be empty`);
  // Custom objects are checked by the paths of their scale.
  if (replicas < 0 && !paths)
    throw invalid(scaleKind, object.metadata.name, [invalidValue("spec.replicas", replicas, "must be greater than or equal to 0")]);
  const { resourceVersion: sent = "", uid = "" } = scale.metadata;
  const metadata: ObjectMeta = {
    ...object.metadata,
    ...(sent === "" ? {} : { resourceVersion: sent }),
    ...(uid === "" ? {} : { uid }),
  };
  if (paths) return withValueAt({ ...object, metadata }, paths.specReplicas, replicas);
  return { ...object, metadata, spec: { ...object.spec, replicas } } as Scalable;
}
