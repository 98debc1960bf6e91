import { describe, expect, it } from "vitest";
import { StatusError } from "../../api/meta/status-error.ts";
import { serviceaccounts } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { createClient } from "../../client/create-client.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { tokenSource } from "./service-account-clients.ts";

function setUp() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  let asked = 0;
  let fails = false;
  api.intercept = ({ method, path }) => {
    if (method !== "POST" || !path.endsWith("/token")) return;
    asked++;
    if (fails) throw new StatusError({ code: 503, reason: "ServiceUnavailable", message: "not now" });
  };
  return {
    clock,
    client,
    token: tokenSource({ client, clock }, "job-controller"),
    asked: () => asked,
    fail: (yes: boolean) => (fails = yes),
  };
}

describe("tokenSource()", () => {
  it("makes the account, and asks once for calls that come together", async () => {
    const { client, token, asked } = setUp();
    const [a, b] = await Promise.all([token(), token()]);
    expect(a).toBe(b);
    // Once in vain, before there was the account.
    expect(asked()).toBe(2);
    expect((await client.get(serviceaccounts, { namespace: "kube-system", name: "job-controller" })).metadata.name).toBe("job-controller");
  });

  it("renews the token in time, and keeps one that is still good when it cannot", async () => {
    const { clock, token, asked, fail } = setUp();
    await token();
    await clock.advance(47 * 60_000);
    await token();
    expect(asked()).toBe(2);
    fail(true);
    await clock.advance(5 * 60_000);
    await expect(token()).resolves.toMatch(/^token of /);
    expect(asked()).toBe(3);
    await clock.advance(10 * 60_000);
    await expect(token()).rejects.toThrow("not now");
    fail(false);
    await expect(token()).resolves.toMatch(/^token of /);
  });
});
