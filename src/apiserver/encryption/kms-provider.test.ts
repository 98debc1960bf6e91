import { expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { KmsFigures } from "./encryption-metrics.ts";
import type { KeyManagementService } from "./generated/kms-v2.ts";
import { KmsProvider } from "./kms-provider.ts";

const figures = new Proxy({}, { get: () => () => undefined }) as KmsFigures;
const service = {
  status: async () => ({ version: "v2", healthz: "ok", keyId: "key" }),
  encrypt: async ({ plaintext }: { plaintext: Uint8Array }) => ({ ciphertext: plaintext, keyId: "key", annotations: {} }),
} as unknown as KeyManagementService;

it.each([
  ["forward", 3_600_000],
  ["back", -3_600_000],
])("a clock that is set %s an hour changes nothing of how long a seed is good", async (_, byMs) => {
  const virtual = new VirtualClock();
  let set = 0;
  const clock = Object.assign(Object.create(virtual) as VirtualClock, {
    now: () => virtual.now() + set,
    monotonic: () => virtual.monotonic(),
    after: (delayMs: number, callback: () => void) => virtual.after(delayMs, callback),
  });
  const provider = new KmsProvider({ service, clock, logger: silentLogger, figures }, { name: "vault", timeoutMs: 1000 });
  await provider.start();
  await provider.stop();
  const { transformer } = provider.transformer;
  set = byMs;
  expect(transformer.encrypt(Buffer.from("x"), "/registry/secrets/a/b")).toBeDefined();
  await virtual.advance(3 * 60_000 + 1);
  expect(() => transformer.encrypt(Buffer.from("x"), "/registry/secrets/a/b")).toThrow("has not been confirmed");
});
