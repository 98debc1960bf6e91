import https from "node:https";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pods } from "../../api/resources.generated.ts";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import { ApiServerFixture } from "../apiserver/apiserver-fixture.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { startScheduler } from "../scheduler/scheduler.ts";
import { createLoopMetrics, type LoopMetrics, serveLoops } from "./up-metrics.ts";

const component = { name: "system:kube-scheduler", groups: ["system:authenticated"] };

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** The serving certificate is the component's own. */
function get(port: number, path: string, token?: string): Promise<{ readonly status: number; readonly text: string }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    const url = `https://127.0.0.1:${port}${path}`;
    const request = https.get(url, { headers, agent: false, rejectUnauthorized: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
  });
}

describe("health and metrics of the loops of coracle up", { timeout: 60_000 }, () => {
  const stack = new StopStack();
  let fixture: ApiServerFixture;
  let server: RunningApiServer;
  let measured: LoopMetrics;

  beforeAll(async () => {
    fixture = await ApiServerFixture.create();
    const tokens = await fixture.file("tokens.csv", 'good,admin,admin,"system:masters"\nother,somebody,somebody\n');
    server = await fixture.start(`--token-auth-file=${tokens}`, "--disable-admission-plugins=ServiceAccount");
    measured = createLoopMetrics(realClock);
    const client = server.clientFor(component);
    stack.add(await startScheduler({ client, clock: realClock, logger: silentLogger, metrics: measured.scheduler.metrics }));
  });
  afterAll(async () => {
    await stack.stop();
    await fixture[Symbol.asyncDispose]();
  });

  const serve = (port: number, clock = new VirtualClock()): Promise<Running> =>
    serveLoops(
      [
        {
          ...{ name: "kube-scheduler", port, registry: measured.scheduler.registry, client: server.clientFor(component) },
          ...{ checks: () => new Map([["leader", undefined]]), configuration: {}, pages: { "/metrics/resources": () => "mine 1\n" } },
        },
      ],
      { clock, logger: silentLogger, clientCaPem: server.caPem },
    );

  it("are there under upstream's names for those who may read them", async () => {
    const port = await freePort();
    const served = stack.add(await serve(port));
    const admin = server.clientFor({ name: "admin", groups: ["system:masters"] });
    await admin.create(pods, { metadata: { name: "waits", namespace: "default" }, spec: { containers: [{ name: "c", image: "i" }] } });
    let text = "";
    for (let i = 0; i < 200 && !/result="unschedulable"[^\n]* 1$/m.test(text); i++) {
      await realClock.sleep(25);
      text = (await get(port, "/metrics", "good")).text;
    }
    expect(text).toMatch(/^scheduler_schedule_attempts_total\{result="unschedulable",profile="default-scheduler"\} 1$/m);
    expect(text).toMatch(/^scheduler_pending_pods\{queue="\w+"\} 1$/m);
    expect((await get(port, "/metrics")).status).toBe(403);
    expect((await get(port, "/metrics", "other")).status).toBe(403);
    expect((await get(port, "/metrics", "wrong")).status).toBe(401);
    expect(await get(port, "/readyz?verbose")).toMatchObject({ status: 200, text: expect.stringContaining("[+]leader ok") });
    expect(await get(port, "/metrics/resources", "good")).toEqual({ status: 200, text: "mine 1\n" });
    expect((await get(port, "/metrics/resources")).status).toBe(403);
    expect((await get(port, "/metrics/slis", "good")).text).toContain('kubernetes_healthcheck{name="leader",type="readyz"} 1\n');
    expect(text).toMatch(
      /^scheduler_plugin_evaluation_total\{plugin="NodeName",extension_point="Filter",profile="default-scheduler"\} \d+$/m,
    );
    expect(text).toMatch(/^process_start_time_seconds 1\.\d+e\+09$/m);
    await served.stop();
  });

  it("wait for a port that somebody else has", async () => {
    const port = await freePort();
    const first = await serve(port);
    const clock = new VirtualClock();
    const second = stack.add(await serve(port, clock));
    await first.stop();
    await expect(get(port, "/healthz")).rejects.toThrow("ECONNREFUSED");
    await clock.advance(5_000);
    for (let i = 0; i < 200; i++) {
      if ((await get(port, "/healthz").catch(() => undefined))?.status === 200) return second.stop();
      await realClock.sleep(25);
    }
    throw new Error("the second has not taken the port over");
  });
});
