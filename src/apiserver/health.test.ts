import { expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { failureOf, type HealthCheck } from "./health.ts";

const never: Pick<HealthCheck, "check"> = { check: () => new Promise(() => undefined) };

it("failureOf() gives a check as long as it wants, two seconds where it says nothing", async () => {
  const clock = new VirtualClock();
  const usual = failureOf(never, clock);
  const patient = failureOf({ ...never, timeoutMs: 5000 }, clock);
  await clock.advance(2000);
  expect(await usual).toBe("no answer in 2000 ms");
  await clock.advance(3000);
  expect(await patient).toBe("no answer in 5000 ms");
});
