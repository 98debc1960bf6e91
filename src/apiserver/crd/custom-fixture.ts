// For tests: a resource handler (see registry/request-fixture.ts) whose CustomResourceDefinitions are served, over a virtual
// clock.

import { compileSchemaRules } from "../../api/cel/validate-rules.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { compileSchema } from "../../api/structural/compile-schema.ts";
import { createLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { createClient } from "../../client/create-client.ts";
import { loopbackUser } from "../authn/user.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import { createInProcessTransport } from "../in-process-transport.ts";
import { builtInDefinitions } from "../registry/definitions.ts";
import { createFixture, type Fixture, type Reply } from "../registry/request-fixture.ts";
import { describedResources } from "../registry/resources/all.ts";
import type { RequestContext } from "../request.ts";
import { statusResponse } from "../server.ts";
import { createServiceResolver } from "../webhook/service-resolver.ts";
import type { WebhookClient } from "../webhook/webhook-client.ts";
import { createConversionMetrics } from "./conversion-metrics.ts";
import { startCustomResources } from "./custom-resources.ts";

export const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

export interface CustomFixture extends Fixture {
  /** Creates a definition and waits until all that follows from it has happened. */
  define(definition: object): Promise<void>;
  /** Changes a definition by a JSON patch, and waits. */
  redefine(name: string, operations: readonly object[]): Promise<void>;
  merge(path: string, body: object): Promise<Reply>;
  /** Lets two seconds pass. */
  settle(): Promise<void>;
}

const noWebhooks = (): Promise<WebhookClient> => Promise.reject(new Error("this test has no webhooks"));

export function createCustomFixture(webhooks: () => Promise<WebhookClient> = noWebhooks, metrics = new MetricsRegistry()): CustomFixture {
  const fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
  const { clock, stores, handler } = fixture;
  const api = {
    async handle(request: RequestContext["request"]) {
      const info = parseRequestInfo(request.method, request.path, request.query);
      const context: RequestContext = { request, info, user: loopbackUser, warnings: [], receivedAtMs: clock.now() };
      try {
        return { response: await handler(context), context };
      } catch (error) {
        if (error instanceof StatusError) return { response: statusResponse(error), context };
        throw error;
      }
    },
  };
  const client = createClient(createInProcessTransport(api, loopbackUser, clock));
  const logger = createLogger("test", { write: () => undefined });
  const conversion = {
    webhooks,
    resolve: createServiceResolver({ reader: stores.reader, clock }),
    metrics: createConversionMetrics(metrics, clock),
  };
  const compile: typeof compileSchema = (schema) => compileSchema(schema, { compileRules: compileSchemaRules });
  const running = startCustomResources({ stores, client, clock, logger, compile, conversion });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await clock.advance(200);
  };
  return {
    ...fixture,
    settle,
    async define(definition) {
      const { status, body } = await fixture.send("POST", definitions, { body: definition });
      if (status !== 201) throw new Error(`definition refused: ${body.message}`);
      await settle();
    },
    async redefine(name, operations) {
      const sent = { body: operations, contentType: "application/json-patch+json" };
      const { status, body } = await fixture.send("PATCH", `${definitions}/${name}`, sent);
      if (status !== 200) throw new Error(`change of definition refused: ${body.message}`);
      await settle();
    },
    merge: (path, body) => fixture.send("PATCH", path, { body, contentType: "application/merge-patch+json" }),
    async stop() {
      const stopped = running.stop();
      await clock.advance(10_000);
      await stopped;
      await fixture.stop();
    },
  };
}
