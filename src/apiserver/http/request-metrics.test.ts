import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { anonymousUser } from "../authn/user.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { parseRequestInfo } from "./request-info.ts";
import { createRequestMetrics } from "./request-metrics.ts";

const answered = (status: number): ApiResponse => ({ kind: "object", status, object: {} });

function setUp() {
  const registry = new MetricsRegistry();
  const clock = new VirtualClock();
  const metrics = createRequestMetrics(registry);
  const end = (method: string, url: string, response: ApiResponse, more: Partial<RequestContext> & { readonly type?: string } = {}) => {
    const [path = "", search = ""] = url.split("?");
    const query = new URLSearchParams(search);
    const headers = { ...(more.type ? { "content-type": more.type } : {}) };
    const request = { method, path, query, headers } as RequestContext["request"];
    const info = parseRequestInfo(method, path, query);
    const context: RequestContext = { request, info, user: anonymousUser, warnings: [], receivedAtMs: 0, isRouted: true, ...more };
    return metrics.end(context, response, { clock, startMs: clock.monotonic() });
  };
  return { registry, clock, end };
}

const pods = "/api/v1/namespaces/n/pods";

describe("createRequestMetrics()", () => {
  it("tells verbs apart as upstream does", () => {
    const { registry, end } = setUp();
    end("PATCH", `${pods}/p`, answered(200), { type: "application/apply-patch+yaml" });
    end("DELETE", pods, answered(200));
    end("POST", `${pods}/p/exec`, answered(400));
    expect(registry.text()).toContain('resource="pods",scope="resource",subresource="",verb="APPLY",version="v1"} 1');
    expect(registry.text()).toContain('resource="pods",scope="namespace",subresource="",verb="DELETE",version="v1"} 1');
    expect(registry.text()).toContain('resource="pods",scope="resource",subresource="exec",verb="CONNECT",version="v1"} 1');
  });

  it("counts what has a handler: no unknown resources and paths, and nothing that was refused before", () => {
    const { registry, end } = setUp();
    end("GET", "/apis/nope.io/v1/foos", answered(404), { isRouted: false });
    end("GET", "/version", answered(200));
    end("PATCH", `${pods}/p`, answered(415));
    expect(registry.text()).not.toContain("apiserver_request_total");
    end("GET", pods, answered(429), { isRouted: false });
    end("GET", "/livez", answered(200));
    expect(registry.text()).toContain('apiserver_request_total{code="429",component="apiserver",dry_run="",group="",resource="pods"');
    expect(registry.text()).toContain(
      'apiserver_request_total{code="200",component="",dry_run="",group="",resource="",scope="",subresource="/livez"',
    );
  });

  it("has no labels as long as a path may be", () => {
    const { registry, end } = setUp();
    end("GET", `/api/v1/${"x".repeat(500_000)}`, answered(429), { isRouted: false });
    end("GET", `/${"y".repeat(500_000)}`, answered(504), { terminated: 504 });
    expect(registry.text()).toContain('apiserver_request_total{code="429",component="apiserver",dry_run="",group="",resource="other"');
    expect(registry.text()).toContain('subresource="other"');
    expect(registry.text().length).toBeLessThan(100_000);
  });

  it("tells a dry run, and one that is none, apart", () => {
    const { registry, end } = setUp();
    end("POST", `${pods}?dryRun=All`, answered(201));
    end("POST", `${pods}?dryRun=Some`, answered(422));
    const alike = 'group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"}';
    expect(registry.text()).toContain(`apiserver_request_total{code="201",component="apiserver",dry_run="All",${alike} 1`);
    expect(registry.text()).toContain(`apiserver_request_total{code="422",component="apiserver",dry_run="invalid",${alike} 1`);
    expect(registry.text()).not.toContain("apiserver_request_sli_duration_seconds_count");
  });

  it("measures connections as well, but no watches, where only its own time counts", () => {
    const { registry, end } = setUp();
    end("GET", `${pods}/p/exec`, answered(400));
    const alike = 'group="",resource="pods",scope="resource",subresource="exec",verb="CONNECT",version="v1"}';
    expect(registry.text()).toContain(`apiserver_request_sli_duration_seconds_count{component="apiserver",${alike} 1`);
  });

  it("counts aggregated discovery by its root, and what was broken off by its path", () => {
    const { registry, end } = setUp();
    const contentType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    end("GET", "/apis", { kind: "bytes", status: 200, contentType, bytes: new Uint8Array() });
    end("GET", "/apis/agg.io/v1", answered(503), { terminated: 503 });
    const alike = (subresource: string) => `group="",resource="",scope="",subresource="${subresource}",verb="GET",version=""}`;
    expect(registry.text()).toContain(`apiserver_request_total{code="200",component="apiserver",dry_run="",${alike("apis")} 1`);
    expect(registry.text()).toContain(
      `apiserver_request_terminations_total{code="503",component="aggregator",${alike("/apis/agg.io/v1")} 1`,
    );
  });

  it("counts a watch while it goes on, and its time when it has ended", async () => {
    const { registry, clock, end } = setUp();
    let ended = (): void => undefined;
    const onceEnded = (listener: () => void): void => void (ended = listener);
    const stream = { batches: (async function* () {})(), close: () => undefined, onceEnded };
    end("GET", `${pods}?watch=1&fieldSelector=metadata.name%3Dp`, { kind: "watch", stream, encoding: "json" });
    const open =
      'apiserver_longrunning_requests{component="apiserver",group="",resource="pods",scope="resource",subresource="",verb="WATCH",version="v1"}';
    expect(registry.text()).toContain(`${open} 1`);
    expect(registry.text()).not.toContain("apiserver_request_total");
    await clock.advance(50_000);
    ended();
    expect(registry.text()).toContain(`${open} 0`);
    const alike = 'dry_run="",group="",resource="pods",scope="namespace",subresource="",verb="WATCH",version="v1"}';
    expect(registry.text()).toContain(`apiserver_request_total{code="200",component="apiserver",${alike} 1`);
    expect(registry.text()).toContain(`apiserver_request_duration_seconds_sum{component="apiserver",${alike} 50`);
  });
});
