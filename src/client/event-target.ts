// What both kinds of recorders share: how an event refers to the object it is about, and how events are named.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ObjectReference } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";

/** What an event is about: an object, or a reference made by hand (a node's kubelet knows only its name). */
export type EventTarget = KubernetesObject | ObjectReference;

export function referenceTo(target: EventTarget): ObjectReference {
  if (!("metadata" in target)) return target;
  const { namespace, name, uid, resourceVersion } = target.metadata;
  return {
    apiVersion: target.apiVersion,
    kind: target.kind,
    name,
    ...(namespace ? { namespace } : {}),
    ...(uid ? { uid } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
  };
}

/** Events about objects without a namespace lie in "default". */
export function eventNamespace(reference: ObjectReference): string {
  return reference.namespace || "default";
}

/** "web.17f0a2b3c4d5e6f7": the object's name and the time in nanoseconds, of which those below a millisecond are random. */
export function newEventName(objectName: string, clock: Clock): string {
  const nanos = BigInt(Math.floor(clock.now())) * 1_000_000n + BigInt(Math.floor(clock.random() * 1_000_000));
  const name = `${objectName}.${nanos.toString(16)}`;
  // Names of RBAC objects may have a colon, which those of events may not.
  return /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) && name.length <= 253 ? name : `event.${nanos.toString(16)}`;
}
