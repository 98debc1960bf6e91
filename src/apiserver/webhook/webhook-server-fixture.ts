// A real HTTPS webhook for tests, with a certificate made for it: answers what the test's function says, and keeps what it
// was asked.
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { realClock } from "../../base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";

export interface WebhookAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or the text as it is. */
  readonly body: unknown;
}

/** What answers a request; undefined leaves it without an answer until the server stops. */
export type Answering = (body: unknown, request: IncomingMessage) => WebhookAnswer | undefined;

export interface WebhookServer extends AsyncDisposable {
  readonly port: number;
  /** PEM of what signed its certificate. */
  readonly caPem: string;
  /** The same as clientConfigs carry it. */
  readonly caBundle: string;
  /** Paths with queries of all requests so far. */
  readonly paths: string[];
  /** Bodies of all requests so far. */
  readonly bodies: unknown[];
  /** Connections so far. */
  readonly connections: () => number;
  answer: Answering;
  /** Ends every connection it has. */
  dropConnections(): void;
  url(path?: string): string;
}

const hourMs = 3600_000;

export interface ServerCertificate {
  /** PEM of the certificate and of its key. */
  readonly cert: string;
  readonly key: string;
  /** PEM of what signed it. */
  readonly caPem: string;
}

/** A certificate for these names and 127.0.0.1, signed by an authority made for it. */
export function makeServerCertificate(dns: readonly string[]): ServerCertificate {
  const authorityKey = generateKey();
  const times = { notBeforeMs: realClock.now() - hourMs, notAfterMs: realClock.now() + hourMs };
  const authority = issueCertificate(
    {
      subject: { commonName: "test-ca", organizations: [] },
      publicKey: authorityKey.publicKey,
      ...times,
      keyUsages: ["certSign"],
      isAuthority: true,
    },
    { key: authorityKey.privateKey },
  );
  const { privateKey, publicKey } = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: "webhook", organizations: [] },
      names: { dnsNames: dns, ipAddresses: ["127.0.0.1"] },
      publicKey,
      ...times,
      keyUsages: ["digitalSignature"],
      extendedKeyUsages: ["serverAuth"],
    },
    { certificate: authority, key: authorityKey.privateKey },
  );
  return { cert: certificatePem(certificate), key: privateKeyPem(privateKey), caPem: certificatePem(authority) };
}

/** Listens on 127.0.0.1, with a certificate for these names besides the address. */
export async function startWebhookServer(answer: Answering, dns: readonly string[] = ["localhost"]): Promise<WebhookServer> {
  const { cert, key, caPem } = makeServerCertificate(dns);
  const sockets = new Set<Socket>();
  let connections = 0;
  const webhook = {
    port: 0,
    caPem,
    caBundle: Buffer.from(caPem).toString("base64"),
    paths: [] as string[],
    bodies: [] as unknown[],
    connections: () => connections,
    answer,
    dropConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
    url: (path = "/") => `https://127.0.0.1:${webhook.port}${path}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer({ cert, key }, (request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const body: unknown = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
      webhook.paths.push(request.url ?? "");
      webhook.bodies.push(body);
      const answered = webhook.answer(body, request);
      if (!answered) return;
      response.writeHead(answered.status ?? 200, { "content-type": "application/json", ...answered.headers });
      response.end(typeof answered.body === "string" ? answered.body : JSON.stringify(answered.body));
    })();
  });
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  webhook.port = (server.address() as AddressInfo).port;
  return webhook;
}
