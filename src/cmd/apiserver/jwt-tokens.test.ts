import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { JwtTokens } from "./jwt-tokens.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-jwt-tokens-"));
});
afterEach(() => rm(directory, { recursive: true }));

const patience = { timeout: 60_000 };
const issuer = (url: string) => ({ issuer: { url, audiences: ["a"] }, claimMappings: { username: { claim: "sub", prefix: "" } } });

describe("JwtTokens.byFile()", () => {
  it("counts a failure for every minute that the issuers of a changed file are not found", async () => {
    const path = join(directory, "authentication.json");
    const write = (jwt: unknown[]) =>
      writeFile(path, JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt }));
    await write([]);
    const clock = new VirtualClock();
    const metrics = new MetricsRegistry();
    const tokens = await JwtTokens.byFile(path, { clock, logger: silentLogger, metrics }, { audiences: ["a"], disallowedIssuers: [] });
    const failures = (): number => Number(/reloads_total\{[^}]*status="failure"\} (\d+)/.exec(metrics.text())?.[1] ?? 0);
    // Nobody listens there.
    await write([issuer("https://127.0.0.1:1/x")]);
    await vi.waitFor(async () => {
      await clock.advance(10_000);
      expect(failures()).toBe(1);
    }, patience);
    await clock.advance(60_000);
    expect(failures()).toBe(2);
    // What takes its place is waited for anew.
    await write([]);
    await vi.waitFor(async () => {
      await clock.advance(1000);
      expect(metrics.text()).toMatch(/reloads_total\{[^}]*status="success"\} 1/);
    }, patience);
    const before = failures();
    await clock.advance(120_000);
    expect(failures()).toBe(before);
    await tokens.stop();
  });
});
