// gRPC health checks against a server that answers as it is told.
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grpcHealth } from "./grpc-health.ts";
import type { ProbeOutcome } from "./prober.ts";

/** By service: the status's number; a service that is missing here is never answered. */
const statuses = new Map<string, number>([
  ["", 1],
  ["sick", 2],
]);
const refusals = new Map([
  ["refused", { code: status.NOT_FOUND, details: "unknown service" }],
  ["lacking", { code: status.UNIMPLEMENTED, details: "unknown method" }],
]);
const server = new Server();
let port = 0;

beforeAll(async () => {
  const same = (bytes: Buffer): Buffer => bytes;
  const Check = { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false } as const;
  const codecs = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
  server.addService(
    { Check: { ...Check, ...codecs } },
    {
      Check: (call: { readonly request: Buffer }, answer: (error: object | null, bytes: Buffer | null) => void) => {
        // Field 1 of the request, a text: its length is the second byte.
        const service = call.request.subarray(2).toString("utf8");
        const refusal = refusals.get(service);
        if (refusal) return answer(refusal, null);
        const serving = statuses.get(service);
        if (serving !== undefined) answer(null, Buffer.from([0x08, serving]));
      },
    },
  );
  port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
});
afterAll(() => server.forceShutdown());

const check = (service: string, at = port, timeoutMs = 5_000): Promise<ProbeOutcome> =>
  grpcHealth({ host: "127.0.0.1", port: at, service, timeoutMs });

describe("grpcHealth()", () => {
  it("succeeds where the server, or the service asked for, serves", async () => {
    expect(await check("")).toEqual({ result: "success", output: "service healthy" });
    expect(await check("sick")).toEqual({ result: "failure", output: 'service unhealthy (responded with "NOT_SERVING")' });
  });

  it("fails where nobody answers in time, or listens", async () => {
    expect(await check("silent", port, 200)).toEqual({ result: "failure", output: "timeout: health rpc did not complete within 200ms" });
    expect(await check("", 1, 1_000)).toEqual({
      result: "failure",
      output: 'timeout: failed to connect service "127.0.0.1:1" within 1s: context deadline exceeded',
    });
  });

  it("says what the server has against the question", async () => {
    expect(await check("refused")).toEqual({
      result: "failure",
      output: "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
    });
    expect(await check("lacking")).toEqual({
      result: "failure",
      output: "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown method",
    });
  });
});
