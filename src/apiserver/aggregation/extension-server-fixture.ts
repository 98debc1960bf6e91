// A small extension API server for tests: real HTTPS, one kind (Widget of sample.example.com/v1) in memory, with discovery,
// OpenAPI, watches and an upgrade. It believes who asks only over a connection with the front proxy's certificate, as the
// libraries for such servers do, and keeps what it was asked.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { makeServerCertificate } from "../webhook/webhook-server-fixture.ts";

export interface ExtensionServerOptions {
  /** PEM of what signs the front proxy's certificate. */
  readonly frontProxyCaPem: string;
  /** The names of its certificate. */
  readonly dns: readonly string[];
  /** Speaks as servers did before aggregated discovery and OpenAPI v3. */
  readonly isOld?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly groups: readonly string[];
}

interface Widget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string; readonly uid: string };
  readonly spec?: unknown;
}

const group = "sample.example.com";
const apiVersion = `${group}/v1`;
const root = `/apis/${apiVersion}`;
const verbs = ["create", "delete", "get", "list", "update", "watch"];
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

export class ExtensionServer implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  /** Of clientConfigs and APIServices. */
  readonly caBundle: string;
  /** Answers instead of everything else, where it is set. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly #options: ExtensionServerOptions;
  readonly #certificate;
  readonly #widgets = new Map<string, Widget>();
  readonly #watches = new Set<ServerResponse>();
  readonly #sockets = new Set<Duplex>();
  #server: Server | undefined;
  #port = 0;
  #revision = 100;

  constructor(options: ExtensionServerOptions) {
    this.#options = options;
    this.#certificate = makeServerCertificate(options.dns);
    this.caBundle = Buffer.from(this.#certificate.caPem).toString("base64");
  }

  get port(): number {
    return this.#port;
  }

  /** On 127.0.0.1; after stop() on the same port again. */
  async start(): Promise<void> {
    const { cert, key } = this.#certificate;
    const server = createServer({ cert, key, ca: this.#options.frontProxyCaPem, requestCert: true, rejectUnauthorized: false });
    server.on("request", (request, response) => void this.#serve(request, response));
    server.on("upgrade", (request: IncomingMessage, socket: Duplex) => this.#upgrade(request, socket));
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Requests of clients; those of the API server itself left out. */
  get asked(): readonly SeenRequest[] {
    return this.requests.filter(({ headers }) => !String(headers["x-remote-user"]).startsWith("system:"));
  }

  #remember(request: IncomingMessage): void {
    const { method = "", url = "", headers, headersDistinct } = request;
    this.requests.push({ method, url, headers, groups: headersDistinct["x-remote-group"] ?? [] });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#remember(request);
    if (!isFrontProxy(request)) return send(response, 401, { kind: "Status", message: "not the front proxy" });
    if (this.answer) return this.answer(request, response);
    const url = new URL(request.url ?? "/", "https://localhost");
    const found = this.#document(url.pathname, request);
    if (found) return send(response, 200, found.document, found.contentType);
    const [, , , , , namespace = "", resource, name] = url.pathname.split("/");
    const all = url.pathname === `${root}/widgets`;
    if (!all && (!url.pathname.startsWith(`${root}/namespaces/`) || resource !== "widgets")) return send(response, 404, status(404));
    if (url.searchParams.get("watch") === "true" || url.searchParams.get("watch") === "1") return this.#watch(response);
    const key = `${namespace}/${name}`;
    if (request.method === "POST" || request.method === "PUT") return this.#write(request, response, namespace);
    if (name === undefined) return send(response, 200, this.#list(all ? undefined : namespace));
    const widget = this.#widgets.get(key);
    if (!widget) return send(response, 404, status(404));
    if (request.method === "DELETE") {
      this.#widgets.delete(key);
      this.#notify("DELETED", widget);
      return send(response, 200, { kind: "Status", apiVersion: "v1", status: "Success" });
    }
    send(response, 200, widget);
  }

  #list(namespace: string | undefined): object {
    const items = [...this.#widgets.values()].filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace);
    return { kind: "WidgetList", apiVersion, metadata: { resourceVersion: String(this.#revision) }, items };
  }

  async #write(request: IncomingMessage, response: ServerResponse, namespace: string): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const sent = JSON.parse(Buffer.concat(chunks).toString()) as Widget;
    const { name } = sent.metadata;
    const known = this.#widgets.get(`${namespace}/${name}`);
    const metadata = { ...sent.metadata, namespace, uid: `uid-${name}`, resourceVersion: String(++this.#revision) };
    const widget = { ...sent, metadata };
    this.#widgets.set(`${namespace}/${name}`, widget);
    this.#notify(known ? "MODIFIED" : "ADDED", widget);
    send(response, known ? 200 : 201, widget);
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    this.#watches.add(response);
    response.on("close", () => this.#watches.delete(response));
  }

  /** Open watches. */
  get watches(): number {
    return this.#watches.size;
  }

  #notify(type: string, object: Widget): void {
    for (const watch of this.#watches) watch.write(`${JSON.stringify({ type, object })}\n`);
  }

  /** Changes the protocol to "echo", and sends back what comes. */
  #upgrade(request: IncomingMessage, socket: Duplex): void {
    this.#remember(request);
    if (!isFrontProxy(request)) {
      socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      return;
    }
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n");
    socket.pipe(socket);
    socket.on("error", () => socket.destroy());
  }

  #document(path: string, request: IncomingMessage): { document: object; contentType?: string } | undefined {
    const { isOld } = this.#options;
    if (path === root) return { document: resourceList };
    if (path === "/openapi/v2") return { document: openApiV2 };
    if (isOld) return undefined;
    if (path === "/apis" && String(request.headers.accept).includes("APIGroupDiscoveryList"))
      return { document: aggregatedList, contentType: aggregatedType };
    if (path === "/openapi/v3") return { document: { paths: { [root.slice(1)]: { serverRelativeURL: openApiLink } } } };
    if (path === `/openapi/v3${root}`)
      return { document: { openapi: "3.0.0", info: { title: "sample" }, paths: { [`${root}/widgets`]: {} } } };
    return undefined;
  }
}

function isFrontProxy(request: IncomingMessage): boolean {
  const socket = request.socket as TLSSocket;
  return socket.authorized && socket.getPeerCertificate().subject.CN === "front-proxy-client";
}

function send(response: ServerResponse, code: number, body: object, contentType = "application/json"): void {
  response.writeHead(code, { "content-type": contentType });
  response.end(JSON.stringify(body));
}

const status = (code: number): object => ({ kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code });
const openApiLink = `/openapi/v3${root}?hash=ABC`;

const resourceList = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: apiVersion,
  resources: [
    { name: "widgets", singularName: "widget", namespaced: true, kind: "Widget", verbs, shortNames: ["wd"] },
    { name: "widgets/status", singularName: "", namespaced: true, kind: "Widget", verbs: ["get"] },
  ],
};

const aggregatedList = {
  kind: "APIGroupDiscoveryList",
  apiVersion: "apidiscovery.k8s.io/v2",
  metadata: {},
  items: [
    {
      metadata: { name: group },
      versions: [
        {
          version: "v1",
          freshness: "Current",
          resources: [
            {
              resource: "widgets",
              responseKind: { group, version: "v1", kind: "Widget" },
              scope: "Namespaced",
              singularResource: "widget",
              verbs,
              shortNames: ["wd"],
            },
          ],
        },
      ],
    },
  ],
};

const openApiV2 = {
  swagger: "2.0",
  info: { title: "sample", version: "v1" },
  parameters: { "name-1": { name: "name", in: "path", required: true, type: "string", uniqueItems: true } },
  paths: {
    "/version/": { get: { responses: { 200: { description: "OK" } } } },
    [`${root}/namespaces/{namespace}/widgets/{name}`]: {
      get: {
        operationId: "readWidget",
        produces: ["application/json"],
        responses: { 200: { description: "OK", schema: { $ref: "#/definitions/com.example.Widget" } } },
        "x-kubernetes-action": "get",
        "x-kubernetes-group-version-kind": { group, version: "v1", kind: "Widget" },
      },
      parameters: [{ $ref: "#/parameters/name-1" }],
    },
  },
  definitions: {
    "com.example.Widget": {
      type: "object",
      description: "Widget is something to try aggregation with.",
      properties: {
        metadata: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", description: "Standard metadata." },
        spec: { type: "object", description: "What is wanted.", additionalProperties: { type: "string" } },
      },
      "x-kubernetes-group-version-kind": [{ group, version: "v1", kind: "Widget" }],
    },
    // Another than this server's of the same name.
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": { type: "object", properties: { name: { type: "string" } } },
    "com.example.Unused": { type: "string" },
  },
};
