import { beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import type { Authentication } from "./authenticator.ts";
import { cachedTokens } from "./cached-tokens.ts";
import { createTokenCacheMetrics } from "./token-cache-metrics.ts";

let clock: VirtualClock;
let asked: string[];
beforeEach(() => {
  clock = new VirtualClock();
  asked = [];
});

function tokens(answer: (token: string) => Promise<Authentication | undefined>) {
  const inner = {
    authenticateToken: (token: string) => {
      asked.push(token);
      return answer(token);
    },
  };
  return cachedTokens(inner, { clock }, { successTtlMs: 10_000, failureTtlMs: 2000 });
}

describe("cachedTokens()", () => {
  it("counts what was remembered, what was asked for, and how that went", async () => {
    const registry = new MetricsRegistry();
    const inner = {
      async authenticateToken(token: string) {
        if (token === "broken") throw new Error("nobody answers");
        return { user: { name: token, groups: [] } };
      },
    };
    const deps = { clock, tokenCache: createTokenCacheMetrics(registry, clock) };
    const cached = cachedTokens(inner, deps, { successTtlMs: 10_000, failureTtlMs: 2000 });
    await cached.authenticateToken("jane");
    await cached.authenticateToken("jane");
    await expect(cached.authenticateToken("broken")).rejects.toThrow("nobody answers");
    const text = registry.text();
    for (const line of [
      'request_total{status="hit"} 1',
      'request_total{status="miss"} 2',
      'fetch_total{status="ok"} 1',
      'fetch_total{status="error"} 1',
    ])
      expect(text).toContain(`authentication_token_cache_${line}\n`);
    for (const status of ["in_flight", "blocked"])
      expect(text).toContain(`authentication_token_cache_active_fetch_count{status="${status}"} 0\n`);
  });

  it("remembers who a token is, and for a shorter time that nobody knows it", async () => {
    const cached = tokens(async (token) => (token === "jane" ? { user: { name: "jane", groups: [] } } : undefined));
    const ask = async () => [(await cached.authenticateToken("jane"))?.user.name, await cached.authenticateToken("nobody")];
    expect(await ask()).toEqual(["jane", undefined]);
    expect(await ask()).toEqual(["jane", undefined]);
    expect(asked).toEqual(["jane", "nobody"]);
    await clock.advance(2000);
    await ask();
    expect(asked).toEqual(["jane", "nobody", "nobody"]);
    await clock.advance(8000);
    await ask();
    expect(asked).toEqual(["jane", "nobody", "nobody", "jane", "nobody"]);
  });

  it("asks once for requests that come together, and for other audiences again", async () => {
    let answer: (found: Authentication) => void = () => undefined;
    const cached = tokens(() => new Promise((resolve) => (answer = resolve)));
    const both = [cached.authenticateToken("t"), cached.authenticateToken("t")];
    answer({ user: { name: "jane", groups: [] } });
    expect((await Promise.all(both)).map((found) => found?.user.name)).toEqual(["jane", "jane"]);
    void cached.authenticateToken("t", ["other"]);
    expect(asked).toEqual(["t", "t"]);
  });

  it("does not remember failures to ask", async () => {
    let fails = true;
    const cached = tokens(async () => {
      if (fails) throw new Error("down");
      return { user: { name: "jane", groups: [] } };
    });
    await expect(cached.authenticateToken("t")).rejects.toThrow("down");
    fails = false;
    expect((await cached.authenticateToken("t"))?.user.name).toBe("jane");
  });
});
