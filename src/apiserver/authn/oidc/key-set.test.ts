import { expect, it } from "vitest";
import { VirtualClock } from "../../../base/clock.ts";
import { ProviderKeySet } from "./key-set.ts";

it("keys that may be fetched again are, also when the clock has been set back", async () => {
  const virtual = new VirtualClock();
  let set = 0;
  const clock = Object.assign(Object.create(virtual) as VirtualClock, {
    now: () => virtual.now() + set,
    monotonic: () => virtual.monotonic(),
  });
  let fetched = 0;
  const keys = new ProviderKeySet("https://issuer.example.com/keys", {
    clock,
    get: async () => {
      fetched++;
      return { status: 200, statusText: "200 OK", body: '{"keys":[]}', headers: { "cache-control": "max-age=60" } };
    },
  });
  const verify = () => keys.verify("a.b.c", { keyId: "k", algorithm: "ES256", isOrdinary: true }).catch(() => undefined);
  await verify();
  expect(fetched).toBe(1);
  set = -3_600_000;
  await virtual.advance(61_000);
  await verify();
  expect(fetched).toBe(2);
});
