import { describe, expect, it } from "vitest";
import { isStatus } from "../../api/meta/status-error.ts";
import { isLongRunning, parseRequestInfo } from "./request-info.ts";

const parse = (method: string, url: string) => {
  const [path = "", query = ""] = url.split("?");
  return parseRequestInfo(method, path, new URLSearchParams(query));
};
const brief = (method: string, url: string): string => {
  const i = parse(method, url);
  return [i.verb, i.apiGroup, i.apiVersion, i.namespace, i.resource, i.name, i.subresource].join("|");
};

describe("parseRequestInfo()", () => {
  it.each([
    ["GET", "/api/v1/namespaces/default/pods/web/log", "get||v1|default|pods|web|log"],
    ["GET", "/api/v1/pods", "list||v1||pods||"],
    ["HEAD", "/api/v1/pods", "list||v1||pods||"],
    ["GET", "/api/v1/pods?watch=1", "watch||v1||pods||"],
    ["GET", "/api/v1/pods?watch=false", "list||v1||pods||"],
    ["GET", "/api/v1/watch/namespaces/n/pods", "watch||v1|n|pods||"],
    ["POST", "/apis/apps/v1/namespaces/n/deployments", "create|apps|v1|n|deployments||"],
    ["PUT", "/apis/apps/v1/namespaces/n/deployments/d/scale", "update|apps|v1|n|deployments|d|scale"],
    ["PATCH", "/api/v1/nodes/n1/status", "patch||v1||nodes|n1|status"],
    ["DELETE", "/api/v1/namespaces/n/pods", "deletecollection||v1|n|pods||"],
    ["DELETE", "/api/v1/namespaces/n/pods/a", "delete||v1|n|pods|a|"],
    ["GET", "/api/v1/namespaces", "list||v1||namespaces||"],
    ["GET", "/api/v1/namespaces/n", "get||v1|n|namespaces|n|"],
    ["PUT", "/api/v1/namespaces/n/finalize", "update||v1|n|namespaces|n|finalize"],
    ["GET", "/api/v1/namespaces/n/status", "get||v1|n|namespaces|n|status"],
    ["GET", "/api/v1/namespaces/n/services/http:web:80/proxy/a/b", "get||v1|n|services|http:web:80|proxy"],
    ["PURGE", "/api/v1/pods/a", "||v1||pods|a|"],
  ])("%s %s", (method, url, expected) => {
    expect(parse(method, url).isResourceRequest).toBe(true);
    expect(brief(method, url)).toBe(expected);
  });

  it("takes paths above a resource for plain ones, with the method as verb", () => {
    for (const url of ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/apis/apps/v1"]) {
      expect(parse("GET", url)).toMatchObject({ isResourceRequest: false, verb: "get", path: url, resource: "" });
    }
  });

  it("reads the name a list is narrowed to, and the selectors", () => {
    const info = parse("GET", "/api/v1/namespaces/n/secrets?fieldSelector=metadata.name%3Ds1&labelSelector=a%3Db");
    expect(info).toMatchObject({ verb: "list", name: "s1", fieldSelector: "metadata.name=s1", labelSelector: "a=b" });
    expect(parse("GET", "/api/v1/secrets?fieldSelector=metadata.name!%3Ds1").name).toBe("");
    expect(parse("GET", "/api/v1/namespaces/n/pods/p?labelSelector=a").labelSelector).toBe("");
  });

  it("decodes the path once, before it is split", () => {
    expect(parse("GET", "/api/v1/namespaces/n/pods/a%20b").name).toBe("a b");
    expect(() => parse("GET", "/api/v1/namespaces/n/pods/%zz")).toThrowError(expect.toSatisfy((e: unknown) => isStatus(e, "BadRequest")));
    expect(() => parse("GET", "/api/v1/watch")).toThrow(/unable to determine kind/);
  });

  it("knows what has no deadline", () => {
    expect(isLongRunning(parse("GET", "/api/v1/pods?watch=true"))).toBe(true);
    expect(isLongRunning(parse("POST", "/api/v1/namespaces/n/pods/p/exec"))).toBe(true);
    expect(isLongRunning(parse("GET", "/debug/pprof/profile"))).toBe(true);
    expect(isLongRunning(parse("GET", "/api/v1/namespaces/n/pods/p/log?follow=true"))).toBe(true);
    expect(isLongRunning(parse("GET", "/api/v1/pods"))).toBe(false);
  });
});
