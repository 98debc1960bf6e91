// What a request will cost, in seats: lists by the size of what they hold, 100 KB to a seat and 1 MB at most, since no more of them
// is in memory at once; writes by the watchers that will be told of them; everything else one.
import type { HistogramSeries } from "../../base/metrics.ts";
import { booleanOf } from "../registry/request-options.ts";
import type { RequestContext } from "../request.ts";
import type { WorkEstimate } from "./fair-queues.ts";

/** What a resource has; undefined for what is not served. */
export type ResourceLoad = (
  context: RequestContext,
) => { readonly objects: number; readonly objectBytes: number; readonly watchers: number } | undefined;

const bytesPerSeat = 100_000;
const watchesPerSeat = 10;
const eventMs = 5;
const maxSeats = 10;

const single: WorkEstimate = { seats: 1, finalSeats: 0, additionalMs: 0 };

/** `levelMaxSeats`: no request may take more of its level. `watcherCounts`: told of the watchers of each write. */
export function estimateWork(
  context: RequestContext,
  load: ResourceLoad,
  levelMaxSeats: number,
  watcherCounts?: HistogramSeries,
): WorkEstimate {
  const { info } = context;
  if (!info.isResourceRequest) return single;
  const limit = Math.min(maxSeats, levelMaxSeats);
  switch (info.verb) {
    case "list":
    case "watch":
      return estimateList(context, load, limit);
    case "create":
    case "update":
    case "patch":
    case "delete":
      return estimateWrite(context, load, limit, watcherCounts);
    default:
      return single;
  }
}

function estimateList(context: RequestContext, load: ResourceLoad, maximum: number): WorkEstimate {
  const { info, request } = context;
  const { query } = request;
  if (info.verb === "watch" && !wantsInitialEvents(query)) return single;
  const { objects = 0, objectBytes = 0 } = load(context) ?? {};
  if (objectBytes <= bytesPerSeat || maximum <= 1) return single;
  const limit = info.name !== "" ? 1 : Number(query.get("limit") ?? 0);
  const share = limit > 0 && limit < objects ? limit / objects : 1;
  const seats = Math.min(maximum, Math.ceil((share * objectBytes) / bytesPerSeat));
  return { seats, finalSeats: 0, additionalMs: 0 };
}

function wantsInitialEvents(query: URLSearchParams): boolean {
  const from = query.get("resourceVersion") ?? "";
  return booleanOf(query, "sendInitialEvents") || from === "" || from === "0";
}

function estimateWrite(
  context: RequestContext,
  load: ResourceLoad,
  maximum: number,
  watcherCounts: HistogramSeries | undefined,
): WorkEstimate {
  const { resource, subresource } = context.info;
  // A token makes no event.
  if (resource === "serviceaccounts" && subresource === "token") return single;
  const watchers = load(context)?.watchers ?? 0;
  watcherCounts?.observe(watchers);
  if (watchers < watchesPerSeat) return single;
  const wanted = Math.ceil(watchers / watchesPerSeat);
  const finalSeats = Math.min(wanted, Math.max(1, maximum));
  // The same work, narrower and longer where there are not so many seats.
  return { seats: 1, finalSeats, additionalMs: (wanted * eventMs) / finalSeats };
}
