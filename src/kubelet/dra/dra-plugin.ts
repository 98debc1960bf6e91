// One instance of a driver that has registered: calls to prepare claims and to undo it, in the newest version of the service
// that both sides know, whether it can be reached, and what it says about the health of its devices.

import type { Clock } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { connectRpc, type RpcConnection } from "../../rpc/client.ts";
import type { ProtocolTable } from "../../rpc/protocol.ts";
import { isRpcError, RpcError } from "../../rpc/rpc-error.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
import type { DraMetrics } from "./dra-metrics.ts";
import { type DeviceHealth, type DRAResourceHealth, draHealthV1alpha1 } from "./generated/dra-health-v1alpha1.ts";
import {
  type Claim,
  type DRAPlugin as DraService,
  draV1,
  type NodePrepareResourceResponse,
  type NodeUnprepareResourceResponse,
} from "./generated/dra-v1.ts";

/** By the name with which drivers announce it, the newest first. v1beta1 has the same messages, without shares. */
const services: Readonly<Record<string, ProtocolTable>> = {
  "v1.DRAPlugin": draV1,
  "v1beta1.DRAPlugin": { ...draV1, package: "k8s.io.kubelet.pkg.apis.dra.v1beta1" },
};

const callTimeoutMs = 45_000;
/** It may be registered a moment before it serves. */
const connectMs = 5_000;
const healthRetryMs = 5_000;

/** The first of a driver's services that is known here. Throws what the driver is answered. */
export function chosenService(driver: string, endpoint: string, offered: readonly string[]): string {
  const refuse = (why: string): never => {
    throw new Error(`invalid supported gRPC versions of DRA driver plugin ${driver} at endpoint ${endpoint}: ${why}`);
  };
  if (offered.length === 0) return refuse("empty list of supported gRPC services (aka supported versions)");
  const quoted = (names: readonly string[]): string => `[${names.map((name) => JSON.stringify(name)).join(" ")}]`;
  return (
    offered.find((name) => services[name] !== undefined) ??
    refuse(`none of services supported by the plugin (${quoted(offered)}) are supported by the kubelet (${quoted(Object.keys(services))})`)
  );
}

export interface DraPluginDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DraMetrics;
  readonly onConnection: () => void;
  readonly onHealth: (driver: string, devices: readonly DeviceHealth[]) => void;
  /** Nobody tells of the driver's devices any more. */
  readonly onHealthLost: (driver: string) => void;
}

export class DraPlugin {
  readonly driver: string;
  readonly endpoint: string;
  readonly #deps: DraPluginDependencies;
  readonly #connection: RpcConnection;
  readonly #service: DraService;
  readonly #protocol: ProtocolTable;
  readonly #abort = new AbortController();
  #isConnected = false;

  /** `service`: of chosenService(). */
  constructor(deps: DraPluginDependencies, { driver, endpoint, service }: { driver: string; endpoint: string; service: string }) {
    this.driver = driver;
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#protocol = services[service] ?? draV1;
    this.#connection = connectRpc({ endpoint, timeoutMs: callTimeoutMs });
    this.#service = this.#connection.service<DraService>(this.#protocol, "DRAPlugin");
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Connects, and stays connected as far as that is possible. Resolves when it is, or when that takes too long. */
  async start(): Promise<void> {
    const { signal } = this.#abort;
    this.#connection.follow((isConnected) => {
      this.#isConnected = isConnected;
      if (!signal.aborted) this.#deps.onConnection();
    });
    void this.#followHealth();
    await this.#connection.ready({ timeoutMs: connectMs, signal }).catch(() => undefined);
  }

  stop(): void {
    this.#abort.abort(new Error("the driver's plugin is no longer used"));
    this.#connection.close();
  }

  /** By the claims' UIDs. Throws when the call as such fails. */
  async prepare(claims: readonly Claim[], signal: AbortSignal): Promise<Readonly<Record<string, NodePrepareResourceResponse>>> {
    return (await this.#call("NodePrepareResources", () => this.#service.nodePrepareResources({ claims }, { signal }))).claims;
  }

  async unprepare(claims: readonly Claim[], signal: AbortSignal): Promise<Readonly<Record<string, NodeUnprepareResourceResponse>>> {
    return (await this.#call("NodeUnprepareResources", () => this.#service.nodeUnprepareResources({ claims }, { signal }))).claims;
  }

  async #call<T>(method: string, call: () => Promise<T>): Promise<T> {
    const { clock, metrics } = this.#deps;
    const begunMs = clock.monotonic();
    const count = (code: string): void => {
      const name = `/${this.#protocol.package}.DRAPlugin/${method}`;
      metrics.calls.series(this.driver, name, code).observe((clock.monotonic() - begunMs) / 1000);
    };
    try {
      const answer = await call();
      count("OK");
      return answer;
    } catch (error) {
      count(error instanceof RpcError ? (/code = (\w+)/.exec(runtimeErrorText(error))?.[1] ?? error.code) : "Canceled");
      throw new Error(`${method}: ${runtimeErrorText(error)}`, { cause: error });
    }
  }

  /** A driver without this service is not asked again. */
  async #followHealth(): Promise<void> {
    const { signal } = this.#abort;
    const { clock, logger, onHealth, onHealthLost } = this.#deps;
    const service = this.#connection.service<DRAResourceHealth>(draHealthV1alpha1, "DRAResourceHealth");
    while (!signal.aborted) {
      try {
        for await (const { devices } of service.nodeWatchResources({}, { signal })) onHealth(this.driver, devices);
      } catch (error) {
        if (isRpcError(error, "UNIMPLEMENTED")) return;
        if (!signal.aborted) logger.info("The health of devices is not told", { driver: this.driver, error: errorText(error) }, 3);
      }
      onHealthLost(this.driver);
      await clock.sleep(healthRetryMs, signal).catch(() => undefined);
    }
  }
}
