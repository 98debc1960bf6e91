// The protocol of gRPC health checks. https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import type { ProtocolTable } from "./protocol.ts";

export interface HealthCheckResponse {
  readonly status: "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
}

export const healthV1: ProtocolTable = {
  package: "grpc.health.v1",
  services: { Health: { Check: "HealthCheckRequest -> HealthCheckResponse" } },
  enums: { ServingStatus: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
  messages: { HealthCheckRequest: "1 service string", HealthCheckResponse: "1 status ServingStatus" },
};
