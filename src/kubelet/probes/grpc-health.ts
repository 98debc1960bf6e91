// The gRPC health check (grpc.health.v1.Health/Check) of a container. https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import type { Duplex } from "node:stream";
import { formatDuration } from "../../base/duration.ts";
import { connectRpc } from "../../rpc/client.ts";
import type { Dial } from "../../rpc/dial.ts";
import { type HealthCheckResponse, healthV1 } from "../../rpc/grpc-health.ts";
import { createCodecs } from "../../rpc/protobuf.ts";
import { isRpcError, RpcError } from "../../rpc/rpc-error.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
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

export async function grpcHealth({ host, port, service, timeoutMs, dial }: GrpcHealthRequest): Promise<ProbeOutcome> {
  const inside = dial?.(host, port);
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  if (inside) return await healthOver(inside, { service, timeoutMs, authority: address });
  const connection = connectRpc({ endpoint: `tcp://${address}`, timeoutMs });
  const begunMs = performance.now();
  try {
    await connection.ready({ timeoutMs });
  } catch {
    connection.close();
    return failure(`timeout: failed to connect service "${address}" within ${formatDuration(timeoutMs)}: context deadline exceeded`);
  }
  try {
    const health = connection.service<Health>(healthV1, "Health");
    return outcomeOf(await health.check({ service }, { timeoutMs: Math.max(1, timeoutMs - (performance.now() - begunMs)) }));
  } catch (error) {
    if (isRpcError(error, "DEADLINE_EXCEEDED")) return failure(`timeout: health rpc did not complete within ${formatDuration(timeoutMs)}`);
    if (error instanceof RpcError && error.code === "UNIMPLEMENTED") return failure(`${notImplemented}: ${error.details}`);
    return failure(`error: health rpc probe failed: ${runtimeErrorText(error)}`);
  } finally {
    connection.close();
  }
}

interface Health {
  check(request: { readonly service: string }, options: { readonly timeoutMs: number }): Promise<HealthCheckResponse>;
}

const notImplemented = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)";

const failure = (output: string): ProbeOutcome => ({ result: "failure", output });

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
      finish(failure(`timeout: failed to connect service "${authority}" within ${formatDuration(timeoutMs)}: ${error.message}`));
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
      if (bytes.length < 5) return finish(failure(notImplemented));
      finish(outcomeOf(codecs.of<HealthCheckResponse>("HealthCheckResponse").decode(bytes.subarray(5))));
    });
    stream.end(Buffer.concat([head, message]));
  });
}
