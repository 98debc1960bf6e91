// Requests to addresses that may lie inside this process (pods and kubelets of simulated nodes) or outside, as all others. A
// connection within the process needs no encryption: it has no wire, and only who holds the network can make one.
import { type ClientRequest, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import type { ConnectionAgents } from "./tunnel.ts";
import type { ClientTls } from "./upgrade.ts";

/** Connects to an address of a network inside this process; undefined for addresses that are not, which sockets reach. */
export type Dial = (host: string, port: number) => Duplex | undefined;

export interface OutgoingRequest extends RequestOptions {
  /** For https: without a CA the server's certificate is not checked. */
  readonly tls?: ClientTls;
  /** Make the connection, where it is not made directly. */
  readonly agents?: ConnectionAgents | undefined;
}

/** Not yet ended; every request has a connection of its own. */
export function requestTo(url: URL, { tls = {}, agents, ...options }: OutgoingRequest, dial?: Dial): ClientRequest {
  const secure = url.protocol === "https:";
  const socket = dialUrl(url, dial);
  if (!socket) {
    const encryption = secure ? { rejectUnauthorized: tls.ca !== undefined, ...tls } : {};
    return (secure ? httpsRequest : httpRequest)(url, {
      ...options,
      agent: (secure ? agents?.https : agents?.http) ?? false,
      ...encryption,
    });
  }
  const headers = { host: url.host, ...(options.headers as Record<string, string>) };
  return httpRequest({ ...options, headers, path: `${url.pathname}${url.search}`, createConnection: () => socket });
}

/** A connection to the host and port of a URL, where they lie in this process. */
export function dialUrl(url: URL, dial: Dial | undefined): Duplex | undefined {
  if (!dial) return undefined;
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return dial(url.hostname.replace(/^\[|\]$/g, ""), port);
}
