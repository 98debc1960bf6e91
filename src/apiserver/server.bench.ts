// What every request pays before its resource is looked at: the stages of server.ts around a handler that answers at once.
import { bench, describe } from "vitest";
import { clusterrolebindings, clusterroles, flowschemas, prioritylevelconfigurations } from "../api/resources.generated.ts";
import { realClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { MemoryReader } from "./admission/memory-reader.ts";
import { authenticationStage } from "./authn/authentication-stage.ts";
import { createBearerTokenAuthenticator } from "./authn/bearer-token.ts";
import { impersonationStage } from "./authn/impersonation-stage.ts";
import { createTokenFileAuthenticator } from "./authn/token-file.ts";
import { authorizationStage } from "./authz/authorization-stage.ts";
import { createAuthorizer } from "./authz/create-authorizer.ts";
import {
  mandatoryFlowSchemas,
  mandatoryPriorityLevels,
  suggestedFlowSchemas,
  suggestedPriorityLevels,
} from "./flow-control/default-configuration.ts";
import { flowControlStage } from "./flow-control/flow-control-stage.ts";
import { FlowController } from "./flow-control/flow-controller.ts";
import { createRequestMetrics } from "./http/request-metrics.ts";
import type { ApiRequest, ApiResponse, Handler } from "./request.ts";
import { createApiServer } from "./server.ts";

const answer: ApiResponse = { kind: "object", status: 200, object: {} };
const answerAtOnce: Handler = async () => answer;
const tokens = createTokenFileAuthenticator('admin-token,admin,1,"system:masters"\njane-token,jane,2,"devs,ops"\n');

/** As many roles and bindings as a cluster with a few add-ons has; the one that counts is bound to a group of jane's. */
function readerWithRoles(): MemoryReader {
  const reader = new MemoryReader();
  const apiGroup = "rbac.authorization.k8s.io";
  for (let i = 0; i < 300; i++) {
    const name = `role-${i}`;
    reader.put(clusterroles, { metadata: { name }, rules: [{ apiGroups: [""], resources: ["pods", "secrets"], verbs: ["get", "list"] }] });
    const subjects = [{ kind: "Group", apiGroup, name: i === 299 ? "ops" : `group-${i}` }];
    reader.put(clusterrolebindings, { metadata: { name }, roleRef: { apiGroup, kind: "ClusterRole", name }, subjects });
  }
  for (const level of [...mandatoryPriorityLevels, ...suggestedPriorityLevels]) reader.put(prioritylevelconfigurations, level);
  for (const schema of [...mandatoryFlowSchemas, ...suggestedFlowSchemas]) reader.put(flowschemas, schema);
  return reader;
}

const reader = readerWithRoles();
const authorizer = createAuthorizer({ reader });
const registry = new MetricsRegistry();
const server = createApiServer({
  authentication: authenticationStage({ authenticators: [createBearerTokenAuthenticator(tokens)], logger: silentLogger }),
  impersonation: impersonationStage(authorizer),
  flowControl: flowControlStage({
    controller: new FlowController({ reader, clock: realClock, metrics: registry }),
    load: () => undefined,
    clock: realClock,
  }),
  authorization: authorizationStage(authorizer),
  resources: answerAtOnce,
  endpoints: answerAtOnce,
  metrics: createRequestMetrics(registry),
  clock: realClock,
  logger: silentLogger,
});

function requestOf(token: string): ApiRequest {
  return {
    method: "GET",
    path: "/api/v1/namespaces/default/pods/web",
    query: new URLSearchParams(),
    headers: { authorization: `Bearer ${token}`, accept: "application/json" },
    headerLines: () => [],
    body: { kind: "none" },
    get signal(): AbortSignal {
      throw new Error("no stage asks for the signal: it would have to be made for every request");
    },
    remoteAddress: "",
  };
}

async function ask(token: string): Promise<void> {
  const { response } = await server.handle(requestOf(token));
  if (!("status" in response) || response.status !== 200) throw new Error(`not answered: ${JSON.stringify(response)}`);
}

describe("the stages around a request", () => {
  bench("of a member of system:masters", () => ask("admin-token"));
  bench("of a user whom one of 300 roles allows it", () => ask("jane-token"));
});
