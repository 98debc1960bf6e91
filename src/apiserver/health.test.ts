import { expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { createHealth, failureOf, type HealthCheck } from "./health.ts";
import type { RequestContext } from "./request.ts";

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

it("createHealth() names all checks that cannot be left out, as there are none", async () => {
  const clock = new VirtualClock();
  const health = createHealth([{ name: "ping", check: () => undefined }], {
    clock,
    logger: createLogger("test", { write: () => undefined }),
  });
  const query = new URLSearchParams("verbose&exclude=nope&exclude=maybe");
  const answer = await health.find("/livez")?.({ request: { query } } as unknown as RequestContext); // no more of it is looked at
  expect(answer).toMatchObject({ status: 200 });
  expect(Buffer.from((answer as { readonly bytes: Uint8Array }).bytes).toString()).toBe(
    '[+]ping ok\nwarn: some health checks cannot be excluded: no matches for "maybe","nope"\nlivez check passed\n',
  );
});
