// The health-check node ports of services whose outside traffic must stay on its node: load balancers ask there whether this
// node has endpoints. 200 with their number, 503 without any, in upstream's JSON.
import type { Service } from "../api/types/core-v1.ts";
import type { Running } from "../base/lifecycle.ts";
import { type HttpAnswer, type HttpServerDeps, startHttpServer } from "./http-server.ts";

export interface ServiceHealthState {
  readonly service: Service;
  readonly port: number;
  /** Ready ones on this node. */
  readonly localEndpoints: number;
}

export interface ServiceHealthDeps extends HttpServerDeps {
  readonly isProxyHealthy: () => boolean;
  /** Where the servers listen. */
  readonly addresses: () => readonly string[];
  readonly onFailure: (service: ServiceHealthState, error: Error) => void;
}

interface OpenPort {
  state: ServiceHealthState;
  readonly addresses: string;
  readonly servers: Promise<readonly Running[]>;
}

/** No node has more ports than this to give out. */
const maxPorts = 10_000;

export class ServiceHealth implements Running {
  readonly #deps: ServiceHealthDeps;
  readonly #open = new Map<string, OpenPort>();
  #isStopped = false;

  constructor(deps: ServiceHealthDeps) {
    this.#deps = deps;
  }

  /** Opens, changes or (undefined) closes the port of a service. */
  set(key: string, state: ServiceHealthState | undefined): void {
    const known = this.#open.get(key);
    const addresses = this.#deps.addresses();
    if (known && state && known.state.port === state.port && known.addresses === addresses.join()) {
      known.state = state;
      return;
    }
    if (known) this.#close(key, known);
    if (!state || this.#isStopped || this.#open.size >= maxPorts) return;
    const closed = known ? known.servers.then(stopAll) : Promise.resolve();
    // The same port may only just be being closed.
    const servers = closed.then(() => Promise.all(addresses.map((address) => this.#start(key, address, state))));
    this.#open.set(key, { state, addresses: addresses.join(), servers });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const all = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(all.map(async ({ servers }) => stopAll(await servers)));
  }

  #start(key: string, address: string, state: ServiceHealthState): Promise<Running> {
    return startHttpServer(this.#deps, {
      name: `health of service ${key}`,
      address,
      port: state.port,
      answer: () => this.#answer(this.#open.get(key)?.state ?? state),
      onFailure: (error) => this.#deps.onFailure(state, error),
    });
  }

  #close(key: string, { servers }: OpenPort): void {
    this.#open.delete(key);
    void servers.then(stopAll);
  }

  #answer({ service: { metadata }, localEndpoints }: ServiceHealthState): HttpAnswer {
    const { namespace, name } = metadata;
    const serviceProxyHealthy = this.#deps.isProxyHealthy();
    return {
      status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
      body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }, undefined, "\t"),
      contentType: "application/json",
      headers: { "x-load-balancing-endpoint-weight": String(localEndpoints) },
    };
  }
}

async function stopAll(servers: readonly Running[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
