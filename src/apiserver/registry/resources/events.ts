// Events, which two groups serve from one storage: the core group's are stored, events.k8s.io sees them under its own field
// names. They disappear after an hour (--event-ttl).
import { eventTable, eventV1Table } from "../../../api/encode/table/events.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { events, eventsV1 } from "../../../api/resources.generated.ts";
import type { Event as CoreEvent } from "../../../api/types/core-v1.ts";
import type { Event } from "../../../api/types/events-v1.ts";
import { validateCoreEvent, validateEvent } from "../../../api/validation/event.ts";
import type { ResourceDefinition } from "../resource-definition.ts";
import { checked, describe, type KindRules } from "./describe.ts";
import { pathSegmentName } from "./rbac.ts";

const ttlSeconds = (): number => 3600;

export const eventDefinition = describe<CoreEvent>(events, {
  metadataOnCreate: "afterwards",
  metadataOnUpdate: [],
  defaultDeletionPropagation: "unsupported",
  validateName: pathSegmentName,
  create: { validate: validateCoreEvent },
  update: { validate: validateCoreEvent },
  allowCreateOnUpdate: true,
  ttlSeconds,
  selectableFields: {
    "involvedObject.kind": ({ involvedObject: o }) => o?.kind ?? "",
    "involvedObject.namespace": ({ involvedObject: o }) => o?.namespace ?? "",
    "involvedObject.name": ({ involvedObject: o }) => o?.name ?? "",
    "involvedObject.uid": ({ involvedObject: o }) => o?.uid ?? "",
    "involvedObject.apiVersion": ({ involvedObject: o }) => o?.apiVersion ?? "",
    "involvedObject.resourceVersion": ({ involvedObject: o }) => o?.resourceVersion ?? "",
    "involvedObject.fieldPath": ({ involvedObject: o }) => o?.fieldPath ?? "",
    reason: ({ reason }) => reason ?? "",
    reportingComponent: ({ reportingComponent }) => reportingComponent ?? "",
    source: ({ source, reportingComponent }) => source?.component || (reportingComponent ?? ""),
    type: ({ type }) => type ?? "",
  },
  table: eventTable,
});

/** Fields by their names in the core group and in events.k8s.io. */
const renamed = [
  ["involvedObject", "regarding"],
  ["message", "note"],
  ["source", "deprecatedSource"],
  ["firstTimestamp", "deprecatedFirstTimestamp"],
  ["lastTimestamp", "deprecatedLastTimestamp"],
  ["count", "deprecatedCount"],
  ["reportingComponent", "reportingController"],
] as const;

type Fields = Record<string, unknown>;

const ownNames: ReadonlyMap<string, string> = new Map(renamed);
const coreNames: ReadonlyMap<string, string> = new Map(renamed.map(([core, own]) => [own, core]));

/** What events.k8s.io serves of a stored event. Fields are put into a new object, never deleted: that would make it slow to use. */
export function fromCoreEvent(stored: KubernetesObject): Event {
  const given = stored as unknown as Readonly<Fields>;
  const fields: Fields = {};
  for (const name in given) {
    const value = given[name];
    const own = ownNames.get(name);
    if (own === undefined) {
      if (name !== "reportingInstance" || value !== "") fields[name] = value;
    } else if (value !== undefined && value !== "") fields[own] = value;
  }
  fields["apiVersion"] = "events.k8s.io/v1";
  return fields as unknown as Event;
}

/** How an event of events.k8s.io is stored. */
export function toCoreEvent(event: Event): CoreEvent {
  const given = event as unknown as Readonly<Fields>;
  const fields: Fields = {};
  for (const name in given) if (!coreNames.has(name)) fields[name] = given[name];
  fields["apiVersion"] = "v1";
  // These are always on the wire.
  fields["involvedObject"] = given["regarding"] ?? {};
  fields["source"] = given["deprecatedSource"] ?? {};
  fields["firstTimestamp"] = given["deprecatedFirstTimestamp"] ?? null;
  fields["lastTimestamp"] = given["deprecatedLastTimestamp"] ?? null;
  fields["reportingComponent"] = given["reportingController"] ?? "";
  fields["reportingInstance"] = given["reportingInstance"] ?? "";
  if (given["note"] !== undefined) fields["message"] = given["note"];
  if (given["deprecatedCount"] !== undefined) fields["count"] = given["deprecatedCount"];
  return fields as unknown as CoreEvent;
}

const rules: KindRules<Event> = {
  ...checked(validateEvent),
  metadataOnCreate: "afterwards",
  metadataOnUpdate: [],
  validateName: pathSegmentName,
  storagePath: eventDefinition.storagePath,
  defaultDeletionPropagation: "unsupported",
  sharesStorageOf: { type: events, fromStored: fromCoreEvent, toStored: toCoreEvent },
  allowCreateOnUpdate: true,
  ttlSeconds,
  selectableFields: {
    "regarding.kind": ({ regarding: o }) => o?.kind ?? "",
    "regarding.namespace": ({ regarding: o }) => o?.namespace ?? "",
    "regarding.name": ({ regarding: o }) => o?.name ?? "",
    "regarding.uid": ({ regarding: o }) => o?.uid ?? "",
    "regarding.apiVersion": ({ regarding: o }) => o?.apiVersion ?? "",
    "regarding.resourceVersion": ({ regarding: o }) => o?.resourceVersion ?? "",
    "regarding.fieldPath": ({ regarding: o }) => o?.fieldPath ?? "",
    reason: ({ reason }) => reason ?? "",
    reportingController: ({ reportingController }) => reportingController ?? "",
    type: ({ type }) => type ?? "",
  },
  table: eventV1Table,
};

export const eventV1Definition = describe<Event>(eventsV1, rules);

/** The definitions with another life of events. */
export function withEventTtl(definitions: readonly ResourceDefinition[], seconds: number): readonly ResourceDefinition[] {
  return definitions.map((definition) =>
    definition.ttlSeconds === ttlSeconds ? { ...definition, ttlSeconds: () => seconds } : definition,
  );
}
