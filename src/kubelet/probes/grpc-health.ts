// The gRPC health check (grpc.health.v1.Health/Check) of a container. https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import type { Duplex } from "node:stream";
import type { Dial } from "../../rpc/dial.ts";
import { type HealthCheckResponse, healthV1 } from "../../rpc/grpc-health.ts";
import { createCodecs } from "../../rpc/protobuf.ts";
import type { ProbeOutcome } from "./prober.ts";

export interface GrpcHealthRequest {
  readonly host: string;
  readonly port: number;
  /** "" asks for the server as a whole. */
  readonly service: string;
  readonly timeoutMs: number;
  /** Of pods that are simulated in this process. */
  readonly dial?: Dial | undefined;
}

/** Loads the gRPC library on the first use only: few pods have such probes. */
export async function grpcHealth({ host, port, service, timeoutMs, dial }: GrpcHealthRequest): Promise<ProbeOutcome> {
  const inside = dial?.(host, port);
  if (inside) return await healthOver(inside, { service, timeoutMs, authority: `${host}:${port}` });
  const { Client, credentials, status } = await import("@grpc/grpc-js");
  const codecs = createCodecs(healthV1);
  const request = codecs.of<object>("HealthCheckRequest");
  const response = codecs.of<HealthCheckResponse>("HealthCheckResponse");
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const client = new Client(address, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const deadline = new Date(performance.timeOrigin + performance.now() + timeoutMs);
  return await new Promise<ProbeOutcome>((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (message: object) => Buffer.from(request.encode(message)),
      (bytes: Buffer) => response.decode(bytes),
      { service },
      { deadline },
      (error, answer) => {
        client.close();
        if (error) {
          const connecting = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
          const lacking =
            error.code === status.UNIMPLEMENTED ? "this server does not implement the grpc health protocol (grpc.health.v1.Health): " : "";
          const within = `timeout: failed to connect service "${address}" within ${timeoutMs / 1000}s: `;
          return resolve({ result: "failure", output: `error: ${connecting ? within : lacking}${error.message}` });
        }
        resolve(outcomeOf(answer));
      },
    );
  });
}

function outcomeOf(answer: HealthCheckResponse | undefined): ProbeOutcome {
  const healthy = answer?.status === "SERVING";
  return {
    result: healthy ? "success" : "failure",
    output: healthy ? "service healthy" : `service unhealthy (responded with "${answer?.status ?? "UNKNOWN"}")`,
  };
}

interface CheckOver {
  readonly service: string;
  readonly timeoutMs: number;
  readonly authority: string;
}

/** The library makes its own connections: over one that is there, the one call is made by hand. */
async function healthOver(connection: Duplex, { service, timeoutMs, authority }: CheckOver): Promise<ProbeOutcome> {
  const { connect } = await import("node:http2");
  const codecs = createCodecs(healthV1);
  const message = codecs.of<object>("HealthCheckRequest").encode({ service });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return await new Promise((resolve) => {
    const session = connect(`http://${authority}`, { createConnection: () => connection });
    const finish = (outcome: ProbeOutcome): void => {
      session.destroy();
      connection.destroy();
      resolve(outcome);
    };
    const fail = (error: Error): void => {
      const output = `error: timeout: failed to connect service "${authority}" within ${timeoutMs / 1000}s: ${error.message}`;
      finish({ result: "failure", output });
    };
    session.on("error", fail);
    connection.on("error", fail);
    const stream = session.request(
      { ":method": "POST", ":path": "/grpc.health.v1.Health/Check", "content-type": "application/grpc", te: "trailers" },
      { signal: AbortSignal.timeout(timeoutMs) },
    );
    const chunks: Buffer[] = [];
    stream.on("error", fail);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const bytes = Buffer.concat(chunks);
      if (bytes.length < 5)
        return finish({
          result: "failure",
          output: "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
        });
      finish(outcomeOf(codecs.of<HealthCheckResponse>("HealthCheckResponse").decode(bytes.subarray(5))));
    });
    stream.end(Buffer.concat([head, message]));
  });
}
