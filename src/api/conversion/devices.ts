// Devices in resource.k8s.io/v1beta1, which v1 has flattened and nested otherwise: the properties of a device lie in `basic`
// there, and what a request asks for lies beside its name instead of in `exactly`. All other versions have v1's form.
import { change, changeEach } from "../defaults/fill.ts";
import type { KubernetesObject } from "../meta/object.ts";
import { sentEmptyOf, withSentEmptyOf } from "../meta/sent-empty.ts";

/** Two forms of the same objects. The apiVersion is left as it is. */
export interface Reshaping {
  toV1(object: KubernetesObject): KubernetesObject;
  fromV1(object: KubernetesObject): KubernetesObject;
}

/** A list entry, of which only the fields are read that differ. */
interface Entry {
  readonly name?: string;
  readonly basic?: object;
  readonly exactly?: object;
  readonly firstAvailable?: readonly unknown[];
}

interface Claim {
  readonly requests?: readonly Entry[];
}

type ClaimObject = KubernetesObject & { readonly spec?: { readonly devices?: Claim } };
type TemplateObject = KubernetesObject & { readonly spec?: { readonly spec?: { readonly devices?: Claim } } };
interface Slice {
  readonly devices?: readonly Entry[];
  readonly nodeName?: string;
  readonly allNodes?: boolean;
}

type SliceObject = KubernetesObject & { readonly spec?: Slice };

const flattened = ({ basic, ...device }: Entry): Entry => ({ ...device, ...basic });

const nested = ({ name, ...basic }: Entry): Entry => ({ ...(name === undefined ? {} : { name }), basic });

const emptyLists = ["selectors", "tolerations"];

const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== "" && value !== 0;

/** A request that names alternatives asks for nothing itself. */
function withExactly({ name, firstAvailable, ...exactly }: Entry): Entry {
  return {
    ...withSentEmptyOf(exactly),
    ...(name === undefined ? {} : { name }),
    ...(Object.values(exactly).some(isSet) || emptyLists.some((field) => sentEmptyOf(exactly, field)) ? { exactly } : {}),
    ...(firstAvailable ? { firstAvailable } : {}),
  };
}

/** The class is always written. */
function withoutExactly({ name, exactly, ...request }: Entry): Entry {
  return { ...(name === undefined ? {} : { name }), deviceClassName: "", ...exactly, ...request } as Entry;
}

const requests =
  (convert: (request: Entry) => Entry) =>
  (claim: Claim): Claim =>
    changeEach(claim, "requests", convert);

const inClaim =
  (convert: (request: Entry) => Entry) =>
  (object: KubernetesObject): KubernetesObject =>
    change(object as ClaimObject, "spec", (spec) => change(spec, "devices", requests(convert)));

const inTemplate =
  (convert: (request: Entry) => Entry) =>
  (object: KubernetesObject): KubernetesObject =>
    change(object as TemplateObject, "spec", (template) => change(template, "spec", (spec) => change(spec, "devices", requests(convert))));

const inSlice =
  (convert: (device: Entry) => Entry) =>
  (object: KubernetesObject): KubernetesObject =>
    change(object as SliceObject, "spec", (spec) => changeEach(withoutUnset(spec), "devices", convert));

/** No node and not all nodes: in v1beta1 that is not told from saying nothing. */
function withoutUnset(spec: Slice): Slice {
  if (spec.nodeName !== "" && spec.allNodes !== false) return spec;
  const { nodeName, allNodes, ...rest } = spec;
  return { ...rest, ...(nodeName ? { nodeName } : {}), ...(allNodes ? { allNodes } : {}) };
}

/** By resource; those that are not here have one form. */
export const reshapedDevices: Readonly<Record<string, Reshaping>> = {
  resourceclaims: { toV1: inClaim(withExactly), fromV1: inClaim(withoutExactly) },
  resourceclaimtemplates: { toV1: inTemplate(withExactly), fromV1: inTemplate(withoutExactly) },
  resourceslices: { toV1: inSlice(flattened), fromV1: inSlice(nested) },
};
