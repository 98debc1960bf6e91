import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import { DecryptError, type Transformer } from "./transformer.ts";
import { TransformingStore } from "./transforming-store.ts";

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
afterEach(() => void process.off("unhandledRejection", note));

describe("a watch whose values cannot be decrypted", () => {
  it.each([
    ["one object after another", (key: string) => key.endsWith("b")],
    ["an object's new value and the one before", (_: string, value: string) => value === "old"],
  ])("ends once, and leaves nothing behind that nobody waits for: %s", async (_, isHopeless) => {
    process.on("unhandledRejection", note);
    const inner = createMemoryStore({ clock: new VirtualClock() });
    let lose = (): void => undefined;
    const lost = new Promise<never>((_resolve, reject) => {
      lose = () => reject(new DecryptError("the KMS is gone"));
    });
    lost.catch(() => undefined);
    const transformer = {
      encrypt: (plain: Uint8Array) => plain,
      decrypt: (stored: Uint8Array, key: string) => {
        if (isHopeless(key, Buffer.from(stored).toString())) throw new DecryptError("no matching prefix found");
        return lost.then(() => ({ bytes: stored, stale: false }));
      },
    } as unknown as Transformer;
    const store = new TransformingStore(inner, () => transformer, "/registry/secrets/");
    const put = (key: string, text: string) => ({ type: "put", key: `/registry/secrets/${key}`, value: Buffer.from(text) }) as const;
    await inner.transact({ conditions: [], operations: [put("a", "old")] });
    const revision = await inner.currentRevision();
    const errors: unknown[] = [];
    store.watch({
      start: "/registry/secrets/",
      end: "/registry/secrets0",
      afterRevision: revision,
      onEvents: () => undefined,
      onError: (error) => errors.push(error),
    });
    await setImmediate();
    await inner.transact({ conditions: [], operations: [put("a", "new"), put("b", "new")] });
    await expect.poll(() => errors.length, { timeout: 60_000 }).toBe(1);
    lose();
    for (let i = 0; i < 5; i++) await setImmediate();
    expect(errors).toHaveLength(1);
    expect(unhandled).toEqual([]);
    await inner.close();
  });
});
