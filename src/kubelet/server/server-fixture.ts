// A kubelet's server with nothing behind it but a host that tells what it was asked, and an API server that answers reviews as
// the test says.

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { subjectaccessreviews, tokenreviews } from "../../api/resources.generated.ts";
import type { SubjectAccessReview } from "../../api/types/authorization-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { certificatePem, generateKey, issueCertificate, type KeyedCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import type { KubeletServerHost } from "./host.ts";
import type { Route } from "./route.ts";
import { type KubeletServerOptions, startKubeletServer } from "./server.ts";
import type { ServerMetrics } from "./server-metrics.ts";

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface AskOptions {
  readonly method?: string;
  readonly token?: string;
  /** A client certificate of this name and group. */
  readonly as?: readonly [name: string, group: string];
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ServerFixture extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly port: number;
  /** What the API server was asked: "token t", "access alice get nodes/proxy". */
  readonly reviews: string[];
  /** What the host was asked. */
  readonly calls: unknown[];
  ask(path: string, options?: AskOptions): Promise<Answer>;
  /** Without TLS. */
  askPlain(port: number, path: string): Promise<Answer>;
}

export interface ServerFixtureOptions {
  readonly options?: Partial<KubeletServerOptions>;
  /** User names by token. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** "alice get nodes/proxy". */
  readonly allowed?: readonly string[];
  readonly host?: Partial<KubeletServerHost>;
  readonly routes?: readonly Route[];
  readonly metrics?: ServerMetrics;
}

/** Certificates are judged by the machine's own clock. */
function authority(): KeyedCertificate {
  const { publicKey, privateKey } = generateKey();
  return {
    key: privateKey,
    certificate: issueCertificate({ ...about("test-ca", [], publicKey), keyUsages: ["certSign"], isAuthority: true }, { key: privateKey }),
  };
}

const year = 365 * 24 * 3_600_000;
const about = (commonName: string, organizations: readonly string[], publicKey: ReturnType<typeof generateKey>["publicKey"]) => {
  const nowMs = performance.timeOrigin;
  return { subject: { commonName, organizations }, publicKey, notBeforeMs: nowMs - year, notAfterMs: nowMs + year };
};

function leaf(ca: KeyedCertificate, name: string, organizations: readonly string[] = []) {
  const { publicKey, privateKey } = generateKey();
  const names = { ipAddresses: ["127.0.0.1"] };
  const certificate = issueCertificate({ ...about(name, organizations, publicKey), names, keyUsages: ["digitalSignature"] }, ca);
  return { cert: certificatePem(certificate), key: privateKeyPem(privateKey) };
}

export async function startServerFixture(given: ServerFixtureOptions = {}): Promise<ServerFixture> {
  const clock = new VirtualClock();
  const reviews: string[] = [];
  const calls: unknown[] = [];
  const ca = authority();
  const caPem = certificatePem(ca.certificate);
  const client = reviewingClient(given, reviews);
  const host: Partial<KubeletServerHost> = { pods: () => [], ...given.host };
  const server = await startKubeletServer(
    {
      host: () => host as KubeletServerHost,
      client,
      clock,
      logger: silentLogger,
      nodeName: "n1",
      ...(given.routes ? { routes: given.routes } : {}),
      ...(given.metrics ? { metrics: given.metrics } : {}),
    },
    { address: "127.0.0.1", port: 0, ...leaf(ca, "kubelet"), clientCa: caPem, ...given.options },
  );
  const clients = new Map<string, ReturnType<typeof leaf>>();
  const clientOf = ([name, group]: readonly [string, string]): ReturnType<typeof leaf> => {
    const made = clients.get(name) ?? leaf(ca, name, [group]);
    clients.set(name, made);
    return made;
  };
  return {
    ...{ clock, reviews, calls, port: server.port },
    ask: (path, options = {}) =>
      send((callback) =>
        httpsRequest(
          {
            ...{ host: "127.0.0.1", port: server.port, path, method: options.method ?? "GET", ca: caPem, agent: false },
            headers: { ...options.headers, ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }) },
            ...(options.as ? clientOf(options.as) : {}),
          },
          callback,
        ),
      ),
    askPlain: (port, path) => send((callback) => httpRequest({ host: "127.0.0.1", port, path, agent: false }, callback)),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

function send(
  start: (callback: (response: import("node:http").IncomingMessage) => void) => import("node:http").ClientRequest,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = start((response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

function reviewingClient({ tokens = {}, allowed = [] }: ServerFixtureOptions, reviews: string[]): Client {
  const create = async (type: unknown, body: { readonly spec: Record<string, unknown> }): Promise<unknown> => {
    if (type === tokenreviews) {
      const token = String(body.spec.token);
      reviews.push(`token ${token}`);
      const username = tokens[token];
      return { status: username === undefined ? { authenticated: false } : { authenticated: true, user: { username, groups: ["g"] } } };
    }
    if (type !== subjectaccessreviews) throw new Error("the server asks for something else");
    const { user, resourceAttributes } = body.spec as unknown as SubjectAccessReview["spec"];
    const asked = `${user} ${resourceAttributes?.verb} nodes/${resourceAttributes?.subresource}`;
    reviews.push(`access ${asked}`);
    return { status: { allowed: allowed.includes(asked) } };
  };
  return { create } as unknown as Client; // reviews are all the server asks for
}
