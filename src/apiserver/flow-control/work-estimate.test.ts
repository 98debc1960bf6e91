import { describe, expect, it } from "vitest";
import { parseRequestInfo } from "../http/request-info.ts";
import type { RequestContext } from "../request.ts";
import { estimateWork } from "./work-estimate.ts";

const bytesPerObject = 2000;

function estimate(method: string, url: string, load: { objects?: number; watchers?: number }, maxSeats = 100) {
  const [path = "", text = ""] = url.split("?");
  const query = new URLSearchParams(text);
  const context = { request: { query }, info: parseRequestInfo(method, path, query) } as unknown as RequestContext;
  const { objects = 0, watchers = 0 } = load;
  return estimateWork(context, () => ({ objects, objectBytes: objects * bytesPerObject, watchers }), maxSeats);
}

describe("estimateWork()", () => {
  it.each([
    ["GET", "/api/v1/pods", { objects: 225 }, 5],
    ["GET", "/api/v1/pods", { objects: 100_000 }, 10],
    ["GET", "/api/v1/pods?limit=100", { objects: 100_000 }, 2],
    ["GET", "/api/v1/pods?watch=1", { objects: 225 }, 5],
    ["GET", "/api/v1/pods?watch=1&resourceVersion=7", { objects: 450 }, 1],
    ["GET", "/api/v1/pods?watch=1&resourceVersion=7&sendInitialEvents=true", { objects: 225 }, 5],
    ["GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dp", { objects: 450 }, 1],
    ["GET", "/api/v1/namespaces/n/pods/p", { objects: 450 }, 1],
    ["GET", "/healthz", { objects: 450 }, 1],
  ])("%s %s takes its seats", (method, url, load, seats) => {
    expect(estimate(method, url, load)).toEqual({ seats, finalSeats: 0, additionalMs: 0 });
  });

  it("counts one object where a list can only have one", () => {
    const load = { objects: 2, objectBytes: 700_000, watchers: 0 };
    const query = new URLSearchParams("fieldSelector=metadata.name=p");
    const info = parseRequestInfo("GET", "/api/v1/namespaces/n/secrets", query);
    expect(estimateWork({ request: { query }, info } as unknown as RequestContext, () => load, 100).seats).toBe(4);
  });

  it("gives a list no more of its level than one request may take", () => {
    expect(estimate("GET", "/api/v1/pods", { objects: 225 }, 3).seats).toBe(3);
  });

  it("adds the telling of watchers to writes, narrower and longer where seats are few", () => {
    const url = "/api/v1/namespaces/n/pods/p";
    expect(estimate("PUT", url, { watchers: 9 })).toEqual({ seats: 1, finalSeats: 0, additionalMs: 0 });
    expect(estimate("PUT", url, { watchers: 35 })).toEqual({ seats: 1, finalSeats: 4, additionalMs: 5 });
    expect(estimate("PUT", url, { watchers: 400 })).toEqual({ seats: 1, finalSeats: 10, additionalMs: 20 });
    expect(estimate("POST", "/api/v1/namespaces/n/serviceaccounts/s/token", { watchers: 400 }).finalSeats).toBe(0);
  });
});
