// The bytes of a watch: batches of events, whose objects are encoded already, put together as they are sent.
import { bench, describe } from "vitest";
import type { WatchStreamEvent } from "../request.ts";
import { watchFrames } from "./watch-frames.ts";

const bytes = Buffer.from(JSON.stringify({ kind: "Pod", apiVersion: "v1", metadata: { name: "web" }, data: "x".repeat(1200) }));
const event: WatchStreamEvent = { type: "MODIFIED", object: undefined, bytes: () => bytes };

function frame(batch: readonly WatchStreamEvent[], watchers: number): void {
  let length = 0;
  for (let i = 0; i < watchers; i++) for (const chunk of watchFrames(batch)) length += chunk.length;
  if (length < batch.length * watchers * bytes.length) throw new Error(`only ${length} bytes`);
}

describe("watch frames for 100 watchers", () => {
  const one = [event];
  const some = Array.from({ length: 16 }, () => event);
  const many = Array.from({ length: 1000 }, () => event);
  bench("batches of 1 event", () => frame(one, 100));
  bench("batches of 16 events", () => frame(some, 100));
  bench("batches of 1,000 events", () => frame(many, 100));
});
