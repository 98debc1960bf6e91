// Threads that stand in for the one that serves: what the cluster's own thread does with them.
import { Worker } from "node:worker_threads";
import { afterEach, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import type { IngressThreadData } from "./ingress-thread.ts";
import { superviseIngress } from "./supervised-ingress.ts";

const data: IngressThreadData = {
  ...{ server: "https://127.0.0.1:1", caPem: "", credentials: { certificate: "", key: "" } },
  ...{ httpPort: 80, httpsPort: 443, verbosity: 0 },
};

let running: Running | undefined;
afterEach(() => running?.stop());

/** Threads that run this script, one after the other. */
function supervise(clock: VirtualClock, script: string) {
  const threads: Worker[] = [];
  const measured: string[] = [];
  const createThread = (given: IngressThreadData): Worker => {
    const worker = new Worker(`const { parentPort, workerData } = require("node:worker_threads"); ${script}`, {
      eval: true,
      workerData: given,
    });
    threads.push(worker);
    return worker;
  };
  const supervisor = superviseIngress(
    { clock, logger: silentLogger, measured: (text) => measured.push(text), createThread },
    async () => data,
  );
  running = supervisor;
  return { supervisor, threads, measured };
}

const serving = 'parentPort.postMessage({ metrics: "of " + workerData.httpPort }); parentPort.once("message", () => process.exit(0));';

it("passes on the thread's figures, and ends it when there is nothing to serve", async () => {
  const { supervisor, threads, measured } = supervise(new VirtualClock(), serving);
  await expect.poll(() => measured).toEqual(["of 80"]);
  const ended = new Promise((resolve) => threads[0]?.once("exit", resolve));
  await supervisor.stop();
  expect([await ended, threads.length]).toEqual([0, 1]);
});

it("starts it again when it fails, with a pause", async () => {
  const clock = new VirtualClock();
  const { threads, measured } = supervise(
    clock,
    `${serving} if (workerData.httpPort === 80) setTimeout(() => { throw new Error("odd"); }, 0);`,
  );
  await expect.poll(() => measured.length).toBe(1);
  await expect
    .poll(async () => {
      await clock.advance(500);
      return threads.length;
    })
    .toBeGreaterThanOrEqual(2);
});

it("ends a thread that does not listen", async () => {
  const clock = new VirtualClock();
  const { supervisor, threads, measured } = supervise(clock, 'parentPort.postMessage({ metrics: "" }); setInterval(() => {}, 1000);');
  await expect.poll(() => measured.length).toBe(1);
  const stopped = supervisor.stop();
  await clock.advance(10_000);
  await stopped;
  expect(threads).toHaveLength(1);
});
