// gRPC health checks (grpc.health.v1.Health/Check) that a simulated program answers: HTTP/2 over a connection of its network.
import { createServer } from "node:http2";
import type { Duplex } from "node:stream";
import { healthV1 } from "../../rpc/grpc-health.ts";
import { createCodecs } from "../../rpc/protobuf.ts";
import type { HealthHandler } from "./process.ts";

const maxRequestBytes = 64 * 1024;
const ok = "0";
const unimplemented = "12";

export function healthListener(handler: HealthHandler): (connection: Duplex) => void {
  const server = createServer();
  const codecs = createCodecs(healthV1);
  const request = codecs.of<{ readonly service: string }>("HealthCheckRequest");
  const response = codecs.of<object>("HealthCheckResponse");
  server.on("stream", (stream, headers) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on("error", () => undefined); // the client has gone
    stream.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxRequestBytes) stream.close();
      else chunks.push(chunk);
    });
    stream.on("end", () => {
      const isCheck = headers[":path"] === "/grpc.health.v1.Health/Check";
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": isCheck ? ok : unimplemented }));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      if (!isCheck) return void stream.end();
      const { service } = request.decode(Buffer.concat(chunks).subarray(5));
      stream.end(framed(response.encode({ status: handler(service) })));
    });
  });
  return (connection) => void server.emit("connection", connection);
}

/** A message as gRPC sends it: not compressed, after its length. */
function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
