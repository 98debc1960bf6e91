import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import type { FlowSchema } from "../../api/types/flowcontrol-v1.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { createClient } from "../../client/create-client.ts";
import { createApiFixture } from "../api-fixture.ts";
import { loopbackUser, type UserInfo } from "../authn/user.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import { createInProcessTransport } from "../in-process-transport.ts";
import type { RequestContext, Stage } from "../request.ts";
import { mandatoryFlowSchemas, suggestedFlowSchemas } from "./default-configuration.ts";
import { flowControlStage } from "./flow-control-stage.ts";
import { FlowController } from "./flow-controller.ts";
import { startFlowSchemaStatus } from "./flow-schema-status.ts";
import { inMatchingOrder, matchFlowSchema } from "./match-flow-schema.ts";
import { keepFlowControlDefaults, reconcileFlowControlDefaults } from "./reconcile-defaults.ts";

function setUp() {
  let flowControl: Stage = (context, next) => next(context);
  const fixture = createApiFixture({}, { flowControl: (context, next) => flowControl(context, next) });
  const { clock, stores, client, api } = fixture;
  const controller = new FlowController({ reader: stores.reader, clock, metrics: new MetricsRegistry() });
  flowControl = flowControlStage({ controller, load: () => undefined, clock });
  const stop = async (): Promise<void> => {
    await controller.stop();
    await fixture.stop();
  };
  return { ...fixture, stop, api, client, controller };
}

let cluster: ReturnType<typeof setUp>;
beforeEach(() => {
  cluster = setUp();
});
afterEach(() => cluster.stop());

const schemaNamed = (name: string): Promise<FlowSchema> => cluster.client.get(flowschemas, { name });

describe("reconcileFlowControlDefaults()", () => {
  it("makes the mandatory and the suggested objects, and changes nothing when all is well", async () => {
    const { client } = cluster;
    await reconcileFlowControlDefaults(client);
    const before = await client.list(flowschemas);
    expect(before.items).toHaveLength(11);
    expect((await client.list(prioritylevelconfigurations)).items.map((l) => l.metadata.name)).toEqual([
      ...["catch-all", "exempt", "global-default", "leader-election", "node-high", "system", "workload-high", "workload-low"],
    ]);
    await reconcileFlowControlDefaults(client);
    expect((await client.list(flowschemas)).items).toEqual(before.items);
  });

  it("leaves a suggested schema to whoever has changed it and said so, and restores the others", async () => {
    const { client } = cluster;
    await reconcileFlowControlDefaults(client);
    const change = async (name: string, annotation: string | null) => {
      const metadata = { annotations: { "apf.kubernetes.io/autoupdate-spec": annotation } };
      await client.patch(flowschemas, { name }, { metadata, spec: { matchingPrecedence: 7777 } }, { type: "merge" });
    };
    await change("probes", "false");
    await change("system-nodes", "true");
    await change("service-accounts", null);
    // A mandatory one cannot be changed at all.
    await expect(change("catch-all", "false")).rejects.toMatchObject({ reason: "Invalid" });
    await client.patch(
      flowschemas,
      { name: "catch-all" },
      { metadata: { annotations: { "apf.kubernetes.io/autoupdate-spec": "false" } } },
      { type: "merge" },
    );
    await reconcileFlowControlDefaults(client);
    const found = async (name: string) => {
      const { spec, metadata } = await schemaNamed(name);
      return [spec.matchingPrecedence, metadata.annotations?.["apf.kubernetes.io/autoupdate-spec"]];
    };
    expect(await found("probes")).toEqual([7777, "false"]);
    expect(await found("system-nodes")).toEqual([500, "true"]);
    expect(await found("service-accounts")).toEqual([7777, "false"]);
    expect(await found("catch-all")).toEqual([10_000, "true"]);
  });
});

describe("keepFlowControlDefaults()", () => {
  it("brings back within a minute what was deleted or changed", async () => {
    const { client, clock } = cluster;
    await reconcileFlowControlDefaults(client);
    const running = keepFlowControlDefaults(client, { clock, logger: silentLogger });
    await client.delete(flowschemas, { name: "catch-all" });
    await client.patch(
      prioritylevelconfigurations,
      { name: "system" },
      { spec: { limited: { nominalConcurrencyShares: 1 } } },
      { type: "merge" },
    );
    await clock.advance(60_000);
    await vi.waitFor(async () => expect((await schemaNamed("catch-all")).spec.matchingPrecedence).toBe(10_000), 60_000);
    await vi.waitFor(async () => {
      const { spec } = await client.get(prioritylevelconfigurations, { name: "system" });
      expect(spec.limited?.nominalConcurrencyShares).toBe(30);
    }, 60_000);
    await running.stop();
  });
});

describe("startFlowSchemaStatus()", () => {
  it("says of every schema whether its priority level exists, as that changes", async () => {
    const { client, stores, clock } = cluster;
    const running = startFlowSchemaStatus({ reader: stores.reader, client, clock, logger: silentLogger });
    const level = { name: "mine" };
    const spec = { priorityLevelConfiguration: level, matchingPrecedence: 50, rules: [] };
    await client.create(flowschemas, { metadata: { name: "s" }, spec });
    const dangling = async () => (await schemaNamed("s")).status?.conditions?.map(({ type, status, reason }) => [type, status, reason]);
    await vi.waitFor(async () => expect(await dangling()).toEqual([["Dangling", "True", "NotFound"]]), 60_000);
    await client.create(prioritylevelconfigurations, {
      metadata: level,
      spec: { type: "Limited", limited: { limitResponse: { type: "Reject" } } },
    });
    await vi.waitFor(async () => expect(await dangling()).toEqual([["Dangling", "False", "Found"]]), 60_000);
    await client.delete(prioritylevelconfigurations, level);
    await vi.waitFor(async () => expect(await dangling()).toEqual([["Dangling", "True", "NotFound"]]), 60_000);
    await running.stop();
  });

  it("writes a schema six times a minute at most, whatever another server makes of it", async () => {
    const { client, stores, clock } = cluster;
    await client.create(flowschemas, { metadata: { name: "s" }, spec: { priorityLevelConfiguration: { name: "mine" } } });
    let corrected = 0;
    const opposite = { type: "Dangling", status: "False", reason: "Found", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const schemas = stores.reader.informer(flowschemas);
    const contradict = ({ status }: FlowSchema): void => {
      if (status?.conditions?.[0]?.status !== "True") return;
      corrected++;
      const body = {
        apiVersion: "flowcontrol.apiserver.k8s.io/v1",
        kind: "FlowSchema",
        metadata: { name: "s" },
        status: { conditions: [opposite] },
      };
      void client.patch(flowschemas, { name: "s" }, body, { type: "apply", subresource: "status", force: true, fieldManager: "other" });
    };
    const handler = schemas.addHandler({ onAdd: contradict, onUpdate: contradict });
    const running = startFlowSchemaStatus({ reader: stores.reader, client, clock, logger: silentLogger });
    for (let i = 0; i < 290; i++) await clock.advance(100);
    expect(corrected).toBe(6);
    for (let i = 0; i < 170; i++) await clock.advance(1000);
    expect(corrected).toBeGreaterThan(6);
    expect(corrected).toBeLessThanOrEqual(24);
    handler.remove();
    await running.stop();
  });
});

describe("FlowController", () => {
  it("follows the configuration: a schema without its level takes nothing, and a level that is gone goes when it is idle", async () => {
    const { client, clock, controller } = cluster;
    const query = new URLSearchParams();
    const context = { user: { name: "jane", groups: [] }, info: parseRequestInfo("GET", "/version", query) } as unknown as RequestContext;
    const level = { name: "mine" };
    const subjects = [{ kind: "User", user: { name: "jane" } }];
    const rules = [{ subjects, nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }] }];
    await client.create(flowschemas, { metadata: { name: "s" }, spec: { priorityLevelConfiguration: level, rules } });
    expect(controller.flowOf(context).schema).toBe("catch-all");
    const limitResponse = { type: "Reject" };
    await client.create(prioritylevelconfigurations, { metadata: level, spec: { type: "Limited", limited: { limitResponse } } });
    await vi.waitFor(() => expect(controller.flowOf(context).schema).toBe("s"), 60_000);
    // 30 of 35 shares of 600 seats, the catch-all has the others.
    expect(controller.flowOf(context).level.bounds.nominal).toBe(515);
    await client.delete(prioritylevelconfigurations, level);
    await vi.waitFor(() => expect(controller.flowOf(context).schema).toBe("catch-all"), 60_000);
    await clock.advance(10_000);
    expect([...controller.levels].map(({ name }) => name).sort()).toEqual(["catch-all", "exempt"]);
  });
});

describe("flowControlStage()", () => {
  it("names the schema and the level that took a request", async () => {
    const { api, client } = cluster;
    await reconcileFlowControlDefaults(client);
    let flow: unknown;
    const spying = createInProcessTransport(
      {
        async handle(request) {
          const answer = await api.handle(request);
          flow = answer.context.flow;
          return answer;
        },
      },
      loopbackUser,
      cluster.clock,
    );
    const { uid: schemaUid } = (await schemaNamed("exempt")).metadata;
    const { uid: levelUid } = (await client.get(prioritylevelconfigurations, { name: "exempt" })).metadata;
    await vi.waitFor(async () => {
      await createClient(spying).list(flowschemas);
      expect(flow).toEqual({ schemaUid, levelUid });
    }, 60_000);
  });
});

describe("matchFlowSchema()", () => {
  const schemas = inMatchingOrder(
    [...suggestedFlowSchemas, ...mandatoryFlowSchemas].map((schema) => ({ ...schema, apiVersion: "", kind: "" }) as unknown as FlowSchema),
  );
  const everyone = ["system:authenticated"];
  const matched = (user: UserInfo, method: string, url: string): string | undefined => {
    const [path = "", query] = url.split("?");
    return matchFlowSchema(schemas, user, parseRequestInfo(method, path, new URLSearchParams(query)))?.metadata.name;
  };
  const account = (namespace: string): UserInfo => ({
    name: `system:serviceaccount:${namespace}:x`,
    groups: ["system:serviceaccounts", ...everyone],
  });
  const node: UserInfo = { name: "system:node:n", groups: ["system:nodes", ...everyone] };

  it.each([
    [{ name: "root", groups: ["system:masters", ...everyone] }, "DELETE", "/api/v1/pods", "exempt"],
    [{ name: "jane", groups: everyone }, "GET", "/readyz", "probes"],
    [{ name: "jane", groups: everyone }, "GET", "/readyz/ping", "probes"],
    [{ name: "jane", groups: everyone }, "GET", "/version", "global-default"],
    [{ name: "jane", groups: everyone }, "GET", "/api/v1/pods", "global-default"],
    [
      { name: "system:kube-scheduler", groups: everyone },
      "PUT",
      "/apis/coordination.k8s.io/v1/namespaces/n/leases/l",
      "system-leader-election",
    ],
    [{ name: "system:kube-scheduler", groups: everyone }, "DELETE", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "kube-scheduler"],
    [account("kube-system"), "GET", "/api/v1/pods", "kube-system-service-accounts"],
    [account("kube-systems"), "GET", "/api/v1/pods", "service-accounts"],
    [node, "PATCH", "/api/v1/nodes/n/status", "system-node-high"],
    [node, "GET", "/api/v1/namespaces/n/pods/p", "system-nodes"],
  ] as const)("gives %o %s %s to %s", (user, method, url, name) => {
    expect(matched({ name: user.name, groups: user.groups }, method, url)).toBe(name);
  });

  it("knows nobody who is in neither group of users", () => {
    expect(matched({ name: "jane", groups: [] }, "GET", "/api/v1/pods")).toBeUndefined();
  });
});
