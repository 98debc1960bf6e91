// The thread in which `coracle up` serves Ingress objects and gateways: started when there is something to serve, ended after the
// last, started again with growing pauses when it fails.
import { Worker } from "node:worker_threads";
import { Backoff } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { IngressThreadData, IngressThreadReport } from "./ingress-thread.ts";

export interface SupervisedIngressDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Its figures, in Prometheus' text format, whenever they have changed. */
  readonly measured: (text: string) => void;
  /** Makes the thread. Default from this command's own file. */
  readonly createThread?: (data: IngressThreadData) => Worker;
}

const restartDelays = { baseMs: 500, maxMs: 30_000 };
/** A thread that lived this long has its next failure treated as its first. */
const healthyAfterMs = 60_000;
/** A thread that does not end by itself in this time is ended. */
const politeMs = 10_000;

/** `dataOf`: what the thread is given, asked for at each start. */
export function superviseIngress(deps: SupervisedIngressDeps, dataOf: () => Promise<IngressThreadData>): Running {
  const { clock, logger } = deps;
  const abort = new AbortController();
  const backoff = new Backoff(restartDelays);
  let current: Worker | undefined;
  const supervise = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      const beganMs = clock.monotonic();
      const how = await runThread(deps, dataOf, (worker) => {
        current = worker;
        if (abort.signal.aborted) worker.postMessage("stop");
      });
      current = undefined;
      if (abort.signal.aborted) return;
      if (clock.monotonic() - beganMs > healthyAfterMs) backoff.reset();
      const afterMs = backoff.next();
      logger.error("The thread that serves Ingress objects ended and is started again", { how, afterMs });
      await clock.sleep(afterMs, abort.signal).catch(() => undefined); // stopping: the loop sees it
    }
  };
  const supervising = supervise();
  return {
    async stop() {
      abort.abort();
      current?.postMessage("stop");
      const timer = clock.after(politeMs, () => void current?.terminate());
      await supervising;
      timer.cancel();
    },
  };
}

/** Resolves with how it ended; never rejects. */
async function runThread(
  { measured, createThread = threadOfThisCommand }: SupervisedIngressDeps,
  dataOf: () => Promise<IngressThreadData>,
  started: (worker: Worker) => void,
): Promise<string> {
  try {
    const worker = createThread(await dataOf());
    started(worker);
    return await new Promise((resolve) => {
      worker.on("message", (report: IngressThreadReport) => {
        if ("metrics" in report) measured(report.metrics);
      });
      worker.on("error", (error) => resolve(errorText(error)));
      worker.on("exit", (code) => resolve(`exit code ${code}`));
    });
  } catch (error) {
    return errorText(error);
  }
}

function threadOfThisCommand(data: IngressThreadData): Worker {
  const [command = ""] = process.argv.slice(1);
  return new Worker(command, { workerData: data, argv: ["ingress-thread"] });
}
