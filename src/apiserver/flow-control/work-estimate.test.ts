import { describe, expect, it } from "vitest";
import { parseRequestInfo } from "../http/request-info.ts";
import type { RequestContext } from "../request.ts";
import { estimateWork } from "./work-estimate.ts";

function estimate(method: string, url: string, load: { objects?: number; watchers?: number }, maxSeats = 100) {
  const [path = "", text = ""] = url.split("?");
  const query = new URLSearchParams(text);
  const context = { request: { query }, info: parseRequestInfo(method, path, query) } as unknown as RequestContext;
  return estimateWork(context, () => ({ objects: load.objects ?? 0, watchers: load.watchers ?? 0 }), maxSeats);
}

describe("estimateWork()", () => {
  it.each([
    ["GET", "/api/v1/pods", { objects: 450 }, 5],
    ["GET", "/api/v1/pods", { objects: 100_000 }, 10],
    ["GET", "/api/v1/pods?limit=200", { objects: 100_000 }, 2],
    ["GET", "/api/v1/pods?watch=1", { objects: 450 }, 5],
    ["GET", "/api/v1/pods?watch=1&resourceVersion=7", { objects: 450 }, 1],
    ["GET", "/api/v1/pods?watch=1&resourceVersion=7&sendInitialEvents=true", { objects: 450 }, 5],
    ["GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dp", { objects: 450 }, 1],
    ["GET", "/api/v1/namespaces/n/pods/p", { objects: 450 }, 1],
    ["GET", "/healthz", { objects: 450 }, 1],
  ])("%s %s takes its seats", (method, url, load, seats) => {
    expect(estimate(method, url, load)).toEqual({ seats, finalSeats: 0, additionalMs: 0 });
  });

  it("gives a list no more of its level than one request may take", () => {
    expect(estimate("GET", "/api/v1/pods", { objects: 450 }, 3).seats).toBe(3);
  });

  it("adds the telling of watchers to writes, narrower and longer where seats are few", () => {
    const url = "/api/v1/namespaces/n/pods/p";
    expect(estimate("PUT", url, { watchers: 9 })).toEqual({ seats: 1, finalSeats: 0, additionalMs: 0 });
    expect(estimate("PUT", url, { watchers: 35 })).toEqual({ seats: 1, finalSeats: 4, additionalMs: 5 });
    expect(estimate("PUT", url, { watchers: 400 })).toEqual({ seats: 1, finalSeats: 10, additionalMs: 20 });
    expect(estimate("POST", "/api/v1/namespaces/n/serviceaccounts/s/token", { watchers: 400 }).finalSeats).toBe(0);
  });
});
