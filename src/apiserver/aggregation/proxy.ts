// Sends a request on to the extension server whose it is, where that can be reached. The texts are upstream's.
import type { Logger } from "../../base/log.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import type { Backend } from "./backend.ts";
import type { Address } from "./backend-request.ts";
import { createForwarder, type ForwarderDeps, type ForwarderOptions, failure } from "./forward-request.ts";

export interface ProxyDeps extends ForwarderDeps {
  readonly logger: Logger;
}

export type ForwardRequest = (backend: Backend, context: RequestContext) => Promise<ApiResponse>;

export interface AggregationProxy {
  readonly forward: ForwardRequest;
  /** Ends what would not end by itself: the server is about to stop. */
  endWatches(): void;
}

export function createProxy(deps: ProxyDeps, options: ForwarderOptions = {}): AggregationProxy {
  const forwarder = createForwarder(deps, options);
  return {
    async forward(backend, context) {
      if (!backend.available) {
        context.terminated = 503;
        return failure(503, "service unavailable");
      }
      if (backend.problem !== undefined) return failure(500, backend.problem);
      let address: Address;
      try {
        address = backend.resolve();
      } catch (error) {
        context.terminated = 503;
        deps.logger.error("No endpoint of an API service", { apiService: backend.apiService, error });
        return failure(503, "service unavailable");
      }
      return forwarder.forward({ target: backend, address, context });
    },
    endWatches: () => forwarder.endWatches(),
  };
}
