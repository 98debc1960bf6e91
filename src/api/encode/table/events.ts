// The table of events, in the core group and in events.k8s.io.
import type { Event as CoreEvent } from "../../types/core-v1.ts";
import type { Event } from "../../types/events-v1.ts";
import { column, nameText, since, wideColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

/** The facts of an event that a row shows, whichever group served it. */
interface EventFacts {
  readonly name: string;
  readonly first: string | null | undefined;
  readonly last: string | null | undefined;
  readonly eventTime: string | null | undefined;
  readonly series: { readonly count?: number; readonly lastObservedTime?: string } | undefined;
  readonly count: number | undefined;
  readonly type: string | undefined;
  readonly reason: string | undefined;
  readonly object: { readonly kind?: string; readonly name?: string; readonly fieldPath?: string } | undefined;
  readonly source: readonly [component: string, host: string];
  readonly message: string | undefined;
}

const columns = [
  column("Last Seen", texts.Event.lastTimestamp),
  column("Type", texts.Event.type),
  column("Reason", texts.Event.reason),
  column("Object", texts.Event.involvedObject),
  wideColumn("Subobject", texts.ObjectReference.fieldPath),
  wideColumn("Source", texts.Event.source),
  column("Message", texts.Event.message),
  wideColumn("First Seen", texts.Event.firstTimestamp),
  wideColumn("Count", texts.Event.count),
  { ...wideColumn("Name", nameText), format: "name" },
];

function cells(event: EventFacts, nowMs: number): readonly unknown[] {
  const first = since(event.first || event.eventTime, nowMs);
  const last = event.series ? since(event.series.lastObservedTime, nowMs) : event.last ? since(event.last, nowMs) : first;
  const { kind = "", name = "", fieldPath = "" } = event.object ?? {};
  const [component, host] = event.source;
  return [
    last,
    event.type ?? "",
    event.reason ?? "",
    name === "" ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
    fieldPath,
    host === "" ? component : `${component}, ${host}`,
    (event.message ?? "").trim(),
    first,
    event.series ? (event.series.count ?? 0) : event.count || 1,
    event.name,
  ];
}

export const eventTable: TableConvertor<CoreEvent> = {
  columns,
  cells: (event, nowMs) =>
    cells(
      {
        name: event.metadata.name,
        first: event.firstTimestamp,
        last: event.lastTimestamp,
        eventTime: event.eventTime,
        series: event.series,
        count: event.count,
        type: event.type,
        reason: event.reason,
        object: event.involvedObject,
        source: [event.source?.component || event.reportingComponent || "", event.source?.host || event.reportingInstance || ""],
        message: event.message,
      },
      nowMs,
    ),
};

export const eventV1Table: TableConvertor<Event> = {
  columns,
  cells: (event, nowMs) =>
    cells(
      {
        name: event.metadata.name,
        first: event.deprecatedFirstTimestamp,
        last: event.deprecatedLastTimestamp,
        eventTime: event.eventTime,
        series: event.series,
        count: event.deprecatedCount,
        type: event.type,
        reason: event.reason,
        object: event.regarding,
        source: [
          event.deprecatedSource?.component || event.reportingController || "",
          event.deprecatedSource?.host || event.reportingInstance || "",
        ],
        message: event.note,
      },
      nowMs,
    ),
};
