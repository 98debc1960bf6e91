// Node ports of services: which of a service's ports get which number, by upstream's rules for creates and for updates. What
// is taken is reserved in the pool and noted for the write that it is for; a dry run takes nothing and makes numbers up.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import { internalError, invalid, StatusError } from "../../api/meta/status-error.ts";
import type { Service, ServicePort, ServiceSpec } from "../../api/types/core-v1.ts";
import type { NumberPool } from "./number-pool.ts";
import { needsHealthCheck, usesNodePorts } from "./service-holdings.ts";

/** The node ports of a cluster: numbers of the pool begin with `first`. */
export interface NodePortRange {
  readonly pool: NumberPool;
  readonly first: number;
  readonly count: number;
  /** "30000-32767". */
  readonly text: string;
}

/** Where a dry run begins to make up numbers: beyond those that exist. */
const madeUpAfter = 32768;

/** What one write takes. */
export class NodePortOperation {
  readonly #range: NodePortRange;
  readonly #dryRun: boolean;
  /** Numbers of the pool that are reserved: to be given back where the write fails. */
  readonly #taken: number[];
  readonly #madeUp: number[] = [];

  constructor(range: NodePortRange, dryRun: boolean, taken: number[]) {
    this.#range = range;
    this.#dryRun = dryRun;
    this.#taken = taken;
  }

  /** Takes a port by name; the answer says why it cannot be had. */
  take(port: number): string | undefined {
    const { pool, first, count, text } = this.#range;
    const number = port - first;
    const exists = number >= 0 && number < count;
    if (this.#dryRun) {
      if (this.#madeUp.includes(port) || (exists && !pool.isFree(number))) return "provided port is already allocated";
      this.#madeUp.push(port);
      return undefined;
    }
    if (!exists) return `provided port is not in the valid range. The range of valid ports is ${text}`;
    if (!pool.reserve(number)) return "provided port is already allocated";
    this.#taken.push(number);
    return undefined;
  }

  takeAny(): number {
    if (this.#dryRun) {
      const port = Math.max(0, ...(this.#madeUp.length > 0 ? this.#madeUp : [madeUpAfter])) + 1;
      this.#madeUp.push(port);
      return port;
    }
    const number = this.#range.pool.reserveAny();
    if (number === undefined) throw internalError(new Error("failed to allocate a nodePort: range is full"));
    this.#taken.push(number);
    return number + this.#range.first;
  }
}

export const withSpec = (service: Service, changes: Partial<ServiceSpec>): Service => ({
  ...service,
  spec: { ...service.spec, ...changes },
});

export const invalidService = ({ metadata }: Service, errors: readonly FieldError[]): Error =>
  invalid({ group: "", kind: "Service" }, metadata.name ?? "", errors);

/** The service with its node ports and, where it has one, the port of its health check. */
export function withNodePorts(service: Service, old: Service | undefined, operation: NodePortOperation): Service {
  const spec = service.spec ?? {};
  if (!spec.ports || !usesNodePorts(spec)) return withHealthCheckPort(service, old, operation);
  const allocates = spec.type === "NodePort" || spec.allocateLoadBalancerNodePorts !== false;
  const numbered = (port: ServicePort): boolean => allocates || Boolean(port.nodePort);
  const refuse = (i: number, port: number, why: string): Error =>
    invalidService(service, [invalidValue(`spec.ports[${i}].nodePort`, port, why)]);
  const take = (i: number, port: number): void => {
    const why = operation.take(port);
    if (why !== undefined) throw refuse(i, port, why);
  };
  const context: PortContext = { numbered, take, takeAny: () => operation.takeAny() };
  const ports = old ? changedPorts(spec.ports, new Set(portNumbers(old)), context) : newPorts(spec.ports, context);
  return withHealthCheckPort(withSpec(service, { ports }), old, operation);
}

/** The node ports of a service's ports; its health check has another. */
const portNumbers = ({ spec }: Service): readonly number[] => (spec?.ports ?? []).map(({ nodePort = 0 }) => nodePort);

interface PortContext {
  /** Whether a port has a node port, or gets one. */
  readonly numbered: (port: ServicePort) => boolean;
  /** Takes a number for the port of this index. Throws. */
  readonly take: (i: number, port: number) => void;
  readonly takeAny: () => number;
}

/** Ports of a new service that have the same number, and differ in their protocol, share a node port. */
function newPorts(ports: readonly ServicePort[], { numbered, take, takeAny }: PortContext): ServicePort[] {
  const shared = new Map<number, number>();
  return ports.map((port, i) => {
    if (!numbered(port)) return port;
    const known = shared.get(port.port);
    if (known === undefined) {
      const asked = ports.find((other) => other.port === port.port && other.nodePort)?.nodePort;
      if (asked) take(i, asked);
      const nodePort = asked || takeAny();
      shared.set(port.port, nodePort);
      return { ...port, nodePort };
    }
    if (port.nodePort && port.nodePort !== known) take(i, port.nodePort);
    return port.nodePort ? port : { ...port, nodePort: known };
  });
}

/** One number may serve several protocols of a service that is changed. */
function changedPorts(ports: readonly ServicePort[], before: ReadonlySet<number>, { numbered, take, takeAny }: PortContext): ServicePort[] {
  const taken = new Set<number>();
  const given = new Set<string>();
  return ports.map((port, i) => {
    if (!numbered(port)) return port;
    if (port.nodePort && !before.has(port.nodePort) && !taken.has(port.nodePort)) {
      take(i, port.nodePort);
      taken.add(port.nodePort);
    }
    const nodePort = port.nodePort || takeAny();
    const claim = `${port.protocol ?? "TCP"} ${nodePort}`;
    if (given.has(claim)) throw new StatusError({ code: 500, message: `duplicate nodePort: {${claim}}` });
    given.add(claim);
    return { ...port, nodePort };
  });
}

function withHealthCheckPort(service: Service, old: Service | undefined, operation: NodePortOperation): Service {
  const spec = service.spec ?? {};
  // Whether it may change is for validation to say.
  if (!needsHealthCheck(spec) || (old?.spec && needsHealthCheck(old.spec))) return service;
  const asked = spec.healthCheckNodePort;
  if (!asked) return withSpec(service, { healthCheckNodePort: operation.takeAny() });
  const why = operation.take(asked);
  if (why !== undefined) throw internalError(new Error(`failed to allocate requested HealthCheck NodePort ${asked}: ${why}`));
  return service;
}
