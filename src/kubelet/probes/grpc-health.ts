// The gRPC health check (grpc.health.v1.Health/Check) of a container. https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import { createCodecs } from "../../rpc/protobuf.ts";
import type { ProtocolTable } from "../../rpc/protocol.ts";
import type { ProbeOutcome } from "./prober.ts";

export interface GrpcHealthRequest {
  readonly host: string;
  readonly port: number;
  /** "" asks for the server as a whole. */
  readonly service: string;
  readonly timeoutMs: number;
}

interface HealthCheckResponse {
  readonly status: "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
}

const healthV1: ProtocolTable = {
  package: "grpc.health.v1",
  services: { Health: { Check: "HealthCheckRequest -> HealthCheckResponse" } },
  enums: { ServingStatus: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
  messages: { HealthCheckRequest: "1 service string", HealthCheckResponse: "1 status ServingStatus" },
};

/** Loads the gRPC library on the first use only: few pods have such probes. */
export async function grpcHealth({ host, port, service, timeoutMs }: GrpcHealthRequest): Promise<ProbeOutcome> {
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
        const healthy = answer?.status === "SERVING";
        resolve({
          result: healthy ? "success" : "failure",
          output: healthy ? "service healthy" : `service unhealthy (responded with "${answer?.status ?? "UNKNOWN"}")`,
        });
      },
    );
  });
}
