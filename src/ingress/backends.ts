// Which endpoint a request goes to: round robin over the ready ones, past those that have refused a connection just now
// (unless all have) and those that this request has tried. Endpoints are looked up once for each change of a service.
import type { Clock } from "../base/clock.ts";
import { ExpiringMap } from "../base/expiring-map.ts";
import type { Endpoint } from "./ready-endpoints.ts";
import type { Backend } from "./routes.ts";

export type EndpointSource = (backend: Backend) => readonly Endpoint[];

interface Ring {
  endpoints: readonly Endpoint[] | undefined;
  next: number;
}

/** How long an endpoint that could not be reached is passed over. */
const failureMs = 10_000;
const maxFailures = 10_000;

export class Backends {
  readonly #source: EndpointSource;
  readonly #failures: ExpiringMap<string, true>;
  /** By service, then by port: bounded by what routes name (see retain). */
  readonly #rings = new Map<string, Map<number | string, Ring>>();

  constructor(source: EndpointSource, clock: Pick<Clock, "monotonic">) {
    this.#source = source;
    this.#failures = new ExpiringMap(maxFailures, clock);
  }

  /** Undefined where there is none that has not been tried. */
  pick(backend: Backend, tried: ReadonlySet<string>): Endpoint | undefined {
    const ring = this.#ring(backend);
    ring.endpoints ??= this.#source(backend);
    const { endpoints } = ring;
    let lastResort: Endpoint | undefined;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[(ring.next + i) % endpoints.length];
      if (!endpoint || tried.has(endpoint.key)) continue;
      if (this.#failures.size > 0 && this.#failures.get(endpoint.key)) {
        lastResort ??= endpoint;
        continue;
      }
      ring.next = (ring.next + i + 1) % endpoints.length;
      return endpoint;
    }
    return lastResort;
  }

  failed(endpoint: Endpoint): void {
    this.#failures.set(endpoint.key, true, failureMs);
  }

  /** A service or its endpoints have changed. */
  changed(service: string): void {
    for (const ring of this.#rings.get(service)?.values() ?? []) ring.endpoints = undefined;
  }

  /** Forgets what no route leads to any more. */
  retain(backends: readonly Backend[]): void {
    const kept = new Set(backends.map(serviceKey));
    for (const service of this.#rings.keys()) if (!kept.has(service)) this.#rings.delete(service);
  }

  #ring(backend: Backend): Ring {
    const key = serviceKey(backend);
    let rings = this.#rings.get(key);
    if (!rings) this.#rings.set(key, (rings = new Map()));
    let ring = rings.get(backend.port);
    if (!ring) rings.set(backend.port, (ring = { endpoints: undefined, next: 0 }));
    return ring;
  }
}

const serviceKey = ({ namespace, service }: Backend): string => `${namespace}/${service}`;
