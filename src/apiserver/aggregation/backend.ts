// The server behind one APIService: where it is and how to connect to it. It is reached at a ready endpoint of the service, with
// the name "<service>.<namespace>.svc" in its certificate.
import { bytesOfBase64 } from "../../api/meta/base64.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { ConnectionAgents } from "../../rpc/tunnel.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import type { ServiceResolver } from "../webhook/webhook-client.ts";
import type { Address, BackendAnswer, BackendRequest } from "./backend-request.ts";
import { RemoteServer, type RemoteServerDeps, type RequestTarget } from "./remote-server.ts";

export interface BackendDeps extends RemoteServerDeps {
  readonly resolve: ServiceResolver;
}

const defaultPort = 443;

export class Backend implements RequestTarget {
  readonly apiService: string;
  readonly group: string;
  readonly version: string;
  readonly service: { readonly namespace: string; readonly name: string; readonly port: number };
  /** Whether the APIService's condition says so. */
  available: boolean;
  /** Why no connection can be made, whatever the server does. */
  readonly problem: string | undefined;
  readonly #deps: BackendDeps;
  readonly #identity: string;
  readonly #server: RemoteServer;

  constructor(deps: BackendDeps, apiService: APIService) {
    const { metadata, spec } = apiService;
    const { namespace = "", name = "", port = defaultPort } = spec.service ?? {};
    const ca = spec.caBundle ? Buffer.from(bytesOfBase64(spec.caBundle)).toString() : undefined;
    this.#deps = deps;
    this.#identity = identityOf(apiService);
    this.apiService = metadata.name;
    this.group = spec.group ?? "";
    this.version = spec.version ?? "";
    this.service = { namespace, name, port };
    this.available = isAvailable(apiService);
    const tls: ClientTls = {
      servername: `${name}.${namespace}.svc`,
      rejectUnauthorized: !spec.insecureSkipTLSVerify,
      ...(ca === undefined ? {} : { ca }),
    };
    this.#server = new RemoteServer(deps, () => tls);
    if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----"))
      this.problem = "unable to load root certificates: unable to parse bytes as PEM block";
  }

  /** Whether it is still the right one for the APIService as it is now. */
  serves(apiService: APIService): boolean {
    return this.#identity === identityOf(apiService);
  }

  /** "/apis/<group>/<version>", or "/api/v1". */
  get root(): string {
    return this.group === "" ? `/api/${this.version}` : `/apis/${this.group}/${this.version}`;
  }

  /** A ready endpoint; throws where there is none. */
  resolve(): Address {
    return this.#deps.resolve(this.service);
  }

  get agents(): ConnectionAgents | undefined {
    return this.#server.agents;
  }

  get tls(): ClientTls {
    return this.#server.tls;
  }

  send(request: BackendRequest, address: Address): Promise<BackendAnswer> {
    return this.#server.send(request, address);
  }

  /** Lets requests in progress end and keeps no connections any more. */
  retire(): void {
    this.#server.retire();
  }

  /** Ends everything. */
  close(): void {
    this.#server.close();
  }
}

export const isAvailable = ({ status }: APIService): boolean => isConditionTrue(status?.conditions, "Available");

/** Another when connections have to be made anew. */
function identityOf({ metadata, spec }: APIService): string {
  const { namespace, name, port } = spec.service ?? {};
  return JSON.stringify([metadata.uid, namespace, name, port, spec.caBundle, spec.insecureSkipTLSVerify]);
}
