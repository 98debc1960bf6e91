// Whose an Ingress is. Pure. The annotation from before there were classes goes before the field, as upstream says.
import type { Ingress, IngressClass } from "../api/types/networking-v1.ts";

export const controllerName = "coracle.local/ingress";
/** The class that `coracle up` makes. */
export const ownClassName = "coracle";
export const defaultClassAnnotation = "ingressclass.kubernetes.io/is-default-class";

const legacyAnnotation = "kubernetes.io/ingress.class";

/** An Ingress that names no class is nobody's: admission gives new ones the default class. */
export function isOurs({ metadata, spec }: Ingress, classOf: (name: string) => IngressClass | undefined): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  const legacy = metadata.annotations?.[legacyAnnotation];
  const name = legacy ?? spec?.ingressClassName;
  if (name === undefined) return false;
  const found = classOf(name);
  // The annotation never had to name an object.
  if (!found) return legacy === ownClassName;
  return found.spec?.controller === controllerName;
}
