import { expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createHealth, failureOf, type HealthCheck } from "./health.ts";

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

it("/healthz leaves out a check that is excluded by its name or by that of its group", async () => {
  const asked: string[] = [];
  const check = (name: string, group?: string): HealthCheck => ({ name, check: () => void asked.push(name), ...(group && { group }) });
  const checks = [check("ping"), check("etcd"), check("etcd-override-0", "etcd"), check("etcd-override-1", "etcd")];
  const health = createHealth(checks, { clock: new VirtualClock(), logger: silentLogger });
  const ask = async (query: string): Promise<string[]> => {
    asked.length = 0;
    const request = { query: new URLSearchParams(query) };
    const response = await health.find("/healthz")?.({ request } as never);
    return Buffer.from((response as { bytes: Uint8Array }).bytes)
      .toString()
      .split("\n");
  };
  expect(await ask("verbose&exclude=etcd")).toEqual([
    "[+]ping ok",
    "[+]etcd excluded: ok",
    "[+]etcd-override-0 excluded with etcd: ok",
    "[+]etcd-override-1 excluded with etcd: ok",
    "healthz check passed",
    "",
  ]);
  expect(asked).toEqual(["ping"]);
  expect(await ask("verbose&exclude=etcd-override-1&exclude=x")).toEqual([
    "[+]ping ok",
    "[+]etcd ok",
    "[+]etcd-override-0 ok",
    "[+]etcd-override-1 excluded: ok",
    'warn: some health checks cannot be excluded: no matches for "x"',
    "healthz check passed",
    "",
  ]);
});

it("createHealth() names all checks that cannot be left out, as there are none", async () => {
  const clock = new VirtualClock();
  const health = createHealth([{ name: "ping", check: () => undefined }], {
    clock,
    logger: silentLogger,
  });
  const query = new URLSearchParams("verbose&exclude=nope&exclude=maybe");
  const answer = await health.find("/livez")?.({ request: { query } } as never); // no more of it is looked at
  expect(answer).toMatchObject({ status: 200 });
  expect(Buffer.from((answer as { readonly bytes: Uint8Array }).bytes).toString()).toBe(
    '[+]ping ok\nwarn: some health checks cannot be excluded: no matches for "maybe","nope"\nlivez check passed\n',
  );
});
