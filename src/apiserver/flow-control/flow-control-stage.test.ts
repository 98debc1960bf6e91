import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { createEndpoints } from "../http/endpoints.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { flowControlDumps } from "./dumps.ts";
import { flowControlStage } from "./flow-control-stage.ts";
import { FlowController } from "./flow-controller.ts";
import { maxInFlightStage } from "./max-in-flight-stage.ts";

const everybody = "system:authenticated";

function contextOf(user: string, method: string, url: string, groups: readonly string[] = [everybody]): RequestContext {
  const [path = "", query = ""] = url.split("?");
  const search = new URLSearchParams(query);
  const request = {
    query: search,
    path,
    method,
    headers: {},
    signal: new AbortController().signal,
  } as unknown as RequestContext["request"];
  return { request, info: parseRequestInfo(method, path, search), user: { name: user, groups }, warnings: [], receivedAtMs: 0 };
}

function setUp() {
  const clock = new VirtualClock();
  const reader = new MemoryReader();
  const metrics = new MetricsRegistry();
  const queuing = { queues: 4, handSize: 1, queueLengthLimit: 1 };
  const limitResponse = { type: "Queue", queuing };
  reader.put(prioritylevelconfigurations, {
    metadata: { name: "mine", uid: "level-1" },
    spec: { type: "Limited", limited: { nominalConcurrencyShares: 5, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse } },
  });
  const anything = [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] }];
  reader.put(flowschemas, {
    metadata: { name: "jane", uid: "schema-1" },
    spec: {
      matchingPrecedence: 10,
      priorityLevelConfiguration: { name: "mine" },
      distinguisherMethod: { type: "ByUser" },
      rules: [{ subjects: [{ kind: "User", user: { name: "jane" } }], resourceRules: anything }],
    },
  });
  let objects = 0;
  let watchers = 0;
  const controller = new FlowController({ reader, clock, metrics }, { serverSeats: 4 });
  const stage = flowControlStage(
    { controller, load: () => ({ objects, objectBytes: objects * 1000, watchers }), clock },
    { maxWaitMs: 1000 },
  );
  const answer: ApiResponse = { kind: "object", status: 200, object: {} };
  const ask = (context: RequestContext, durationMs = 100) =>
    stage(context, async () => {
      await clock.sleep(durationMs);
      return answer;
    });
  const setLoad = (load: { objects?: number; watchers?: number }): void => {
    objects = load.objects ?? 0;
    watchers = load.watchers ?? 0;
  };
  return { clock, reader, metrics, controller, ask, setLoad };
}

const statusOf = (response: ApiResponse): number => ("status" in response ? response.status : 0);
const get = "/api/v1/namespaces/n/pods/p";

let cluster: ReturnType<typeof setUp>;
beforeEach(() => {
  cluster = setUp();
});
afterEach(() => cluster.controller.stop());

describe("flowControlStage()", () => {
  it("serves two at a time, queues one and refuses the fourth with 429 and Retry-After", async () => {
    const { ask, clock, metrics } = cluster;
    const contexts = Array.from({ length: 4 }, () => contextOf("jane", "GET", get));
    const answers = contexts.map((context) => ask(context));
    const refused = await answers[3];
    expect(refused).toMatchObject({ status: 429, headers: { "Retry-After": "1" } });
    if (refused?.kind === "bytes") expect(Buffer.from(refused.bytes).toString()).toBe("Too many requests, please try again later.\n");
    expect(contexts[3]?.flow).toEqual({ schemaUid: "schema-1", levelUid: "level-1" });
    const text = metrics.text();
    const labels = 'priority_level="mine",flow_schema="jane"';
    expect(text).toContain(`apiserver_flowcontrol_current_executing_requests{${labels}} 2`);
    expect(text).toContain(`apiserver_flowcontrol_current_inqueue_requests{${labels}} 1`);
    expect(text).toContain(`apiserver_flowcontrol_rejected_requests_total{${labels},reason="queue-full"} 1`);
    expect(text).toContain('apiserver_flowcontrol_nominal_limit_seats{priority_level="mine"} 2');
    await clock.advance(300);
    expect((await Promise.all(answers)).map(statusOf)).toEqual([200, 200, 200, 429]);
    expect(metrics.text()).toContain(`apiserver_flowcontrol_current_inqueue_requests{${labels}} 0`);
  });

  it("lets a request wait for a quarter of the time that it has itself asked for", async () => {
    const { ask, clock } = cluster;
    const last = contextOf("jane", "GET", get);
    last.timeoutMs = 8000;
    const answers = [ask(contextOf("jane", "GET", get), 5000), ask(contextOf("jane", "GET", get), 5000), ask(last)];
    await clock.advance(1999);
    expect([...cluster.controller.levels].reduce((sum, { queues }) => sum + queues.waiting, 0)).toBe(1);
    await clock.advance(1);
    expect(statusOf((await answers[2]) as ApiResponse)).toBe(429);
    await clock.advance(3000);
    await Promise.all(answers);
  });

  it("refuses what has waited for its time", async () => {
    const { ask, clock } = cluster;
    const answers = [1, 2, 3].map(() => ask(contextOf("jane", "GET", get), 5000));
    await clock.advance(5000);
    expect((await Promise.all(answers)).map(statusOf)).toEqual([200, 200, 429]);
  });

  it("never queues members of system:masters, though their schema's object is missing", async () => {
    const { ask, clock } = cluster;
    const answers = Array.from({ length: 50 }, () => ask(contextOf("root", "GET", get, ["system:masters"])));
    await clock.advance(100);
    expect((await Promise.all(answers)).every((answer) => statusOf(answer) === 200)).toBe(true);
  });

  it("gives what no schema names to the catch-all, which queues nothing", async () => {
    const { ask, clock } = cluster;
    const answers = Array.from({ length: 3 }, () => ask(contextOf("stranger", "GET", get, [])));
    await clock.advance(100);
    expect((await Promise.all(answers)).map(statusOf)).toEqual([200, 200, 429]);
  });

  it("takes no seats for logs and exec, and a watch's only until it has begun", async () => {
    const { ask, clock, controller } = cluster;
    const logs = Array.from({ length: 5 }, () => ask(contextOf("jane", "GET", `${get}/log`)));
    const watches = Array.from({ length: 3 }, () => ask(contextOf("jane", "GET", "/api/v1/pods?watch=1"), 10));
    await clock.advance(100);
    expect((await Promise.all([...logs, ...watches])).map(statusOf)).toEqual(Array.from({ length: 8 }, () => 200));
    expect([...controller.levels].every(({ queues }) => queues.isIdle)).toBe(true);
  });

  it("shows what waits in the dumps", async () => {
    const { ask, clock, controller } = cluster;
    const answers = [1, 2, 3].map(() => ask(contextOf("jane", "GET", get)));
    await clock.settle();
    const endpoints = createEndpoints([flowControlDumps(controller)]);
    const dump = async (path: string): Promise<string> => {
      const response = await endpoints(contextOf("root", "GET", `/debug/api_priority_and_fairness/${path}`));
      return response.kind === "bytes" ? Buffer.from(response.bytes).toString() : "";
    };
    expect(await dump("dump_priority_levels")).toMatch(/^mine, +1, +false, +false, +1, +2, +2, +0, +0, +0$/m);
    expect(await dump("dump_requests?includeRequestDetails=1")).toMatch(
      /^mine, +jane, +\d, +0, +jane, +2026-01-01T00:00:00Z, +1, +0, +0s, +0001-01-01T00:00:00Z, +jane, +get, +\/api\/v1\/namespaces\/n\/pods\/p, /m,
    );
    expect((await dump("dump_queues")).split("\n").filter((line) => line.startsWith("mine,"))).toHaveLength(4);
    await clock.advance(300);
    await Promise.all(answers);
  });
});

describe("maxInFlightStage()", () => {
  it("limits reads and writes apart, masters and long-running requests not", async () => {
    const clock = new VirtualClock();
    const stage = maxInFlightStage({ reads: 1, writes: 1 });
    const ask = (context: RequestContext) =>
      stage(context, async () => {
        await clock.sleep(10);
        return { kind: "object", status: 200, object: {} };
      });
    const answers = [
      ask(contextOf("a", "GET", get)),
      ask(contextOf("a", "PUT", get)),
      ask(contextOf("a", "GET", get)),
      ask(contextOf("a", "GET", get, ["system:masters"])),
      ask(contextOf("a", "GET", "/api/v1/pods?watch=1")),
    ];
    await clock.advance(10);
    expect((await Promise.all(answers)).map(statusOf)).toEqual([200, 200, 429, 200, 200]);
  });
});
