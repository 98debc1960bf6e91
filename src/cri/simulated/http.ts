// HTTP of simulated programs: what they serve is a function from a Request to a Response, as in other JavaScript servers; what
// they ask for goes over the simulated network.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";

export type HttpHandler = (request: Request) => Response | Promise<Response>;

/** Accepts connections and answers the requests on them. `failed` is told of what the handler throws. */
export function httpListener(handler: HttpHandler, failed: (error: unknown) => void): (connection: Duplex) => void {
  const server = createServer((incoming, outgoing) => {
    answer(handler, incoming, outgoing).catch((error: unknown) => {
      failed(error);
      if (outgoing.headersSent) return void outgoing.destroy();
      outgoing.writeHead(500, { "content-type": "text/plain" });
      outgoing.end("Internal Server Error\n");
    });
  });
  return (connection) => void server.emit("connection", connection);
}

async function answer(handler: HttpHandler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const response = await handler(requestOf(incoming));
  outgoing.statusCode = response.status;
  if (response.statusText !== "") outgoing.statusMessage = response.statusText;
  response.headers.forEach((value, name) => void outgoing.appendHeader(name, value));
  if (!response.body || incoming.method === "HEAD") return void outgoing.end();
  // The two types of web streams, Node's and the standard library's, are one at run time.
  await pipeline(Readable.fromWeb(response.body as ReadableStream), outgoing);
}

function requestOf(incoming: IncomingMessage): Request {
  const { method = "GET", url = "/" } = incoming;
  const headers = new Headers();
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2)
    headers.append(incoming.rawHeaders[i] ?? "", incoming.rawHeaders[i + 1] ?? "");
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? ({ body: Readable.toWeb(incoming), duplex: "half" } as Pick<RequestInit, "body" | "duplex">) : {};
  return new Request(new URL(url, `http://${incoming.headers.host ?? "localhost"}`), { method, headers, ...body });
}

/** A request over a connection that `connect` makes. The answer has been read when it resolves. */
export async function fetchOver(
  connect: (host: string, port: number) => Duplex,
  input: string | URL,
  init: RequestInit & { readonly signal?: AbortSignal | null } = {},
): Promise<Response> {
  const url = new URL(input);
  const request = new Request(url, init);
  const body = Buffer.from(await request.arrayBuffer());
  const connection = connect(url.hostname.replace(/^\[|\]$/g, ""), url.port === "" ? 80 : Number(url.port));
  return await new Promise<Response>((resolve, reject) => {
    const outgoing = httpRequest({
      method: request.method,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, ...Object.fromEntries(request.headers), "content-length": String(body.length) },
      createConnection: () => connection,
      ...(init.signal ? { signal: init.signal } : {}),
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => collect(incoming).then(resolve, reject));
    outgoing.end(body);
  });
}

async function collect(incoming: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) for (const text of [value ?? []].flat()) headers.append(name, text);
  const status = incoming.statusCode ?? 502;
  const isEmpty = [101, 204, 205, 304].includes(status);
  return new Response(isEmpty ? null : Buffer.concat(chunks), { status, statusText: incoming.statusMessage ?? "", headers });
}
