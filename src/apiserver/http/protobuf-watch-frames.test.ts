import { describe, expect, it } from "vitest";
import { readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage, encodeMessage } from "../../api/encode/protobuf/message.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { WatchStreamEvent } from "../request.ts";
import { protobufWatchFrames } from "./protobuf-watch-frames.ts";

const schema = builtInSchemas.get("core-v1.ConfigMap");

function event(type: WatchStreamEvent["type"], name: string, size = 0): WatchStreamEvent {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { k: "x".repeat(size) } };
  return { type, object, bytes: () => new Uint8Array(), message: () => encodeMessage(schema, object) };
}

/** The frames of a stream, each the message of a WatchEvent: its type, and the name of the object in its envelope. */
function namesIn(stream: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < stream.length; ) {
    const frame = stream.subarray(at + 4, at + 4 + stream.readUInt32BE(at));
    at += 4 + frame.length;
    const type = frame.subarray(2, 2 + (frame[1] ?? 0)).toString();
    const { message, kind } = readEnvelope(frame.subarray(frame.indexOf("k8s\0")));
    expect(kind).toBe("ConfigMap");
    found.push(`${type} ${(decodeMessage(schema, message).metadata as { name: string }).name}`);
  }
  return found;
}

describe("protobufWatchFrames()", () => {
  it("puts each event into a frame of its own, preceded by its length", () => {
    const chunks = [...protobufWatchFrames([event("ADDED", "a"), event("DELETED", "b", 100_000), event("BOOKMARK", "c")])];
    expect(chunks).toHaveLength(1);
    expect(namesIn(Buffer.concat(chunks))).toEqual(["ADDED a", "DELETED b", "BOOKMARK c"]);
  });

  it("splits a batch into chunks between frames", () => {
    const chunks = [...protobufWatchFrames([1, 2, 3, 4].map((n) => event("MODIFIED", `n${n}`, 100_000)))];
    expect(chunks.map(namesIn)).toEqual([
      ["MODIFIED n1", "MODIFIED n2"],
      ["MODIFIED n3", "MODIFIED n4"],
    ]);
  });

  it("encodes an object that was made for one watcher", () => {
    const status = { apiVersion: "v1", kind: "Status", status: "Failure", reason: "Expired", code: 410 };
    const [frame] = [...protobufWatchFrames([{ type: "ERROR", object: status, bytes: () => new Uint8Array() }])];
    const { kind, message } = readEnvelope((frame as Buffer).subarray((frame as Buffer).indexOf("k8s\0")));
    expect(kind).toBe("Status");
    expect(decodeMessage(builtInSchemas.get("meta-v1.Status"), message)).toEqual({ status: "Failure", reason: "Expired", code: 410 });
  });

  it("gives nothing for an empty batch", () => {
    expect([...protobufWatchFrames([])]).toEqual([]);
  });
});
