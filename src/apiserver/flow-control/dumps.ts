// /debug/api_priority_and_fairness/dump_{priority_levels,queues,requests}: the state of the queues as upstream's columns of text.
import { formatDuration } from "../../base/duration.ts";
import { type EndpointSource, fixedEndpoints, getOnly } from "../http/endpoints.ts";
import { plainText } from "../http/plain-text.ts";
import type { Handler } from "../request.ts";
import { guessedServiceMs } from "./fair-queues.ts";
import type { FlowController, FlowLevel } from "./flow-controller.ts";

type Row = readonly string[];

export function flowControlDumps(controller: FlowController): EndpointSource {
  const dump = (header: Row, rowsOf: (level: FlowLevel) => readonly Row[]): Handler =>
    getOnly(async () => {
      const levels = [...controller.levels].sort((a, b) => (a.name < b.name ? -1 : 1));
      return plainText(200, inColumns([header, ...levels.flatMap(rowsOf)]));
    });
  const path = "/debug/api_priority_and_fairness";
  return fixedEndpoints({
    [`${path}/dump_priority_levels`]: dump(levelColumns, levelRows),
    [`${path}/dump_queues`]: dump(queueColumns, queueRows),
    [`${path}/dump_requests`]: (context) => {
      const details = (context.request.query.get("includeRequestDetails") ?? "") !== "";
      const columns = details ? [...requestColumns, ...detailColumns] : requestColumns;
      return dump(columns, (level) => requestRows(level, details))(context);
    },
  });
}

const levelColumns: Row = [
  ...["PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests"],
  ...["DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests"],
];

function levelRows({ name, queues, quiescing }: FlowLevel): Row[] {
  const { dispatched, rejected, timedOut, cancelled } = queues.counts;
  const active = queues.queues.filter((queue) => queue.waiting.length > 0).length;
  const numbers = [queues.waiting, queues.executing, dispatched, rejected, timedOut, cancelled];
  return [[name, String(active), String(queues.isIdle), String(quiescing), ...numbers.map(String)]];
}

const queueColumns: Row = [
  ...["PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR"],
  ...["InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum"],
];

function queueRows({ name, queues }: FlowLevel): Row[] {
  return queues.queues.map((queue) => {
    const works = queue.waiting.map(({ arrival }) => arrival.work);
    const initial = works.reduce((sum, { seats }) => sum + seats, 0);
    const most = works.reduce((sum, { seats, finalSeats }) => sum + Math.max(seats, finalSeats), 0);
    const total = works.reduce((sum, { seats, finalSeats, additionalMs }) => sum + seats * guessedServiceMs + finalSeats * additionalMs, 0);
    return [
      ...[name, ...[queue.index, queue.waiting.length, queue.executing, queue.seatsInUse].map(String)],
      ...[`${(queue.nextDispatchR / 1000).toFixed(8)}ss`, String(initial), String(most), `${(total / 1000).toFixed(8)}ss`],
    ];
  });
}

const requestColumns: Row = [
  ...["PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime"],
  ...["InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime"],
];
const detailColumns: Row = ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"];

/** The time at which what still waits has started, as Go writes one that is not set. */
const notYet = "0001-01-01T00:00:00Z";

/** RFC 3339 with as many digits of the second as there are. */
const preciseTime = (ms: number): string => new Date(ms).toISOString().replace(/\.?0+Z$/, "Z");

function requestRows({ name, queues }: FlowLevel, details: boolean): Row[] {
  return queues.queues.flatMap((queue) =>
    queue.waiting.map(({ arrival, arrivedAtMs }, index) => {
      const { schema, distinguisher, work, context } = arrival;
      const { info, user } = context;
      const version = info.apiGroup === "" ? info.apiVersion : `${info.apiGroup}/${info.apiVersion}`;
      const detail = [user.name, info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource];
      return [
        ...[name, schema, String(queue.index), String(index), distinguisher, preciseTime(arrivedAtMs)],
        ...[String(work.seats), String(work.finalSeats), formatDuration(work.additionalMs), notYet],
        ...(details ? detail : []),
      ];
    }),
  );
}

/** Columns padded to their widest cell, each but the last followed by a comma. */
function inColumns(rows: readonly Row[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const cell = (text: string, column: number): string =>
    column === widths.length - 1 ? text : `${text},`.padEnd((widths[column] ?? 0) + 2);
  return rows.map((row) => `${row.map(cell).join("")}\n`).join("");
}
