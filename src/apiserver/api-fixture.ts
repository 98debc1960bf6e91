// For tests: the API server's stages without authentication or limits over a resource fixture, and a client that goes through
// them.
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { loopbackUser } from "./authn/user.ts";
import { createEndpoints } from "./http/endpoints.ts";
import { createRequestMetrics } from "./http/request-metrics.ts";
import { createInProcessTransport } from "./in-process-transport.ts";
import { builtInDefinitions } from "./registry/definitions.ts";
import { createFixture, type Fixture, type FixtureOptions } from "./registry/request-fixture.ts";
import { describedResources } from "./registry/resources/all.ts";
import type { Stage } from "./request.ts";
import { type ApiServer, createApiServer } from "./server.ts";

export interface ApiFixture extends Fixture {
  readonly api: ApiServer;
  readonly client: Client;
}

export function createApiFixture(options: FixtureOptions = {}, stages: { readonly flowControl?: Stage } = {}): ApiFixture {
  const fixture = createFixture({ definitions: builtInDefinitions(describedResources), ...options });
  const { clock } = fixture;
  const through: Stage = (context, next) => next(context);
  const api = createApiServer({
    authentication(context, next) {
      context.user = context.request.trustedUser ?? context.user;
      return next(context);
    },
    impersonation: through,
    flowControl: stages.flowControl ?? through,
    authorization: through,
    resources: fixture.handler,
    endpoints: createEndpoints([]),
    metrics: createRequestMetrics(new MetricsRegistry()),
    clock,
    logger: silentLogger,
  });
  return { ...fixture, api, client: createClient(createInProcessTransport(api, loopbackUser, clock)) };
}
