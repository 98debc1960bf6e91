// Validation of events: loose for the core group, whose clients are older than the rules, strict for events.k8s.io. Paths
// name the fields as the core group does, whichever group is asked.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { byteLength, isDNS1123Subdomain, isQualifiedName } from "../meta/names.ts";
import type { Event as CoreEvent } from "../types/core-v1.ts";
import type { Event, EventSeries } from "../types/events-v1.ts";
import { internalForm } from "./internal-form.ts";
import { validateFinalizerDomains, validateObjectMeta, validateObjectMetaUpdate } from "./object-meta.ts";
import { addProblems, checkImmutable } from "./rules.ts";

/** What both groups look at, by one name. */
interface EventFacts {
  readonly namespace: string;
  readonly objectNamespace: string;
  readonly eventTime: string | null | undefined;
  readonly controller: string;
  readonly controllerField: "reportingComponent" | "reportingController";
  readonly instance: string;
  readonly action: string;
  readonly reason: string;
  readonly note: string;
}

function validateFacts(errors: FieldError[], event: EventFacts): void {
  const { namespace, objectNamespace, eventTime } = event;
  const mismatch = (): void =>
    void errors.push(invalidValue("involvedObject.namespace", objectNamespace, "does not match event.namespace"));
  if (!eventTime) {
    // Events about objects without a namespace lie in "default".
    const fits = objectNamespace === "" ? namespace === "" || namespace === "default" : namespace === objectNamespace;
    if (!fits) mismatch();
  } else {
    if (objectNamespace === "" && namespace !== "default" && namespace !== "kube-system") mismatch();
    if (event.controller === "") errors.push(required(event.controllerField));
    addProblems(errors, event.controllerField, event.controller, isQualifiedName(event.controller));
    checkLength(errors, "reportingInstance", event.instance, 128);
    checkLength(errors, "action", event.action, 128);
    checkLength(errors, "reason", event.reason, 128);
    if (byteLength(event.note) > 1024) errors.push(invalidValue("message", "", "can have at most 1024 characters"));
  }
  addProblems(errors, "namespace", namespace, isDNS1123Subdomain(namespace));
}

function checkLength(errors: FieldError[], field: string, value: string, max: number): void {
  if (value === "") errors.push(required(field));
  if (byteLength(value) > max) errors.push(invalidValue(field, "", `can have at most ${max} characters`));
}

export function validateCoreEvent(event: CoreEvent): FieldError[] {
  const errors: FieldError[] = [];
  validateFacts(errors, {
    namespace: event.metadata.namespace ?? "",
    objectNamespace: event.involvedObject?.namespace ?? "",
    eventTime: event.eventTime,
    controller: event.reportingComponent ?? "",
    controllerField: "reportingComponent",
    instance: event.reportingInstance ?? "",
    action: event.action ?? "",
    reason: event.reason ?? "",
    note: event.message ?? "",
  });
  return errors;
}

/** With the metadata, which comes after what both groups look at. */
export function validateEvent(event: Event, old?: Event): FieldError[] {
  const errors: FieldError[] = [];
  validateFacts(errors, {
    namespace: event.metadata.namespace ?? "",
    objectNamespace: event.regarding?.namespace ?? "",
    eventTime: event.eventTime,
    controller: event.reportingController ?? "",
    controllerField: "reportingController",
    instance: event.reportingInstance ?? "",
    action: event.action ?? "",
    reason: event.reason ?? "",
    note: event.note ?? "",
  });
  if (old) {
    appendAll(errors, validateObjectMetaUpdate(event, old));
    appendAll(errors, validateFinalizerDomains(event));
    validateChange(errors, event, old);
  } else {
    appendAll(errors, validateObjectMeta(event, { namespaced: true }));
    validateNew(errors, event);
  }
  return errors;
}

function validateNew(errors: FieldError[], event: Event): void {
  validateSeries(errors, event.series);
  if (!event.eventTime) errors.push(required("eventTime"));
  const { type = "" } = event;
  if (type !== "Normal" && type !== "Warning") errors.push(invalidValue("type", "", `has invalid value: ${type}`));
  const refuse = (field: string): void => void errors.push(invalidValue(field, "", "needs to be unset"));
  if (event.deprecatedFirstTimestamp) refuse("firstTimestamp");
  if (event.deprecatedLastTimestamp) refuse("lastTimestamp");
  if (event.deprecatedCount) refuse("count");
  if (event.deprecatedSource?.component || event.deprecatedSource?.host) refuse("source");
}

function validateSeries(errors: FieldError[], series: EventSeries | undefined): void {
  if (!series) return;
  if (series.count < 2) errors.push(invalidValue("series.count", "", "should be at least 2"));
  if (!series.lastObservedTime) errors.push(required("series.lastObservedTime"));
}

/** Fields that an event keeps: the names in messages and on the wire, and the internal types. */
const fixed = [
  ["involvedObject", "regarding", "ObjectReference"],
  ["reason", "reason", "s"],
  ["message", "note", "s"],
  ["source", "deprecatedSource", "EventSource"],
  ["firstTimestamp", "deprecatedFirstTimestamp", "?j"],
  ["lastTimestamp", "deprecatedLastTimestamp", "?j"],
  ["count", "deprecatedCount", "n"],
  ["reason", "reason", "s"],
  ["type", "type", "s"],
  ["eventTime", "eventTime", "?j"],
  ["action", "action", "s"],
  ["related", "related", "?ObjectReference"],
  ["reportingController", "reportingController", "s"],
  ["reportingInstance", "reportingInstance", "s"],
] as const;

/** Only the series of an event goes on. */
function validateChange(errors: FieldError[], event: Event, old: Event): void {
  if (event.series?.count !== old.series?.count || event.series?.lastObservedTime !== old.series?.lastObservedTime)
    validateSeries(errors, event.series);
  for (const [field, own, type] of fixed) checkImmutable(errors, field, internalForm(type, event[own]), internalForm(type, old[own]));
}
