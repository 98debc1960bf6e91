// A client whose calls are counted and timed under client-go's names (rest_client_*). A watch counts when it is answered; how long
// it lasts is no measure of anything.
import { isStatus } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "./client.ts";

export interface CountedClientDependencies {
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  /** Whom the client asks; "" in the same process. */
  readonly host: string;
}

/** Method of the client → HTTP method, and the status of success. */
const calls = {
  get: ["GET", 200],
  list: ["GET", 200],
  watch: ["GET", 200],
  create: ["POST", 201],
  update: ["PUT", 200],
  updateStatus: ["PUT", 200],
  patch: ["PATCH", 200],
  delete: ["DELETE", 200],
  deleteCollection: ["DELETE", 200],
  createSubresource: ["POST", 201],
  getSubresource: ["GET", 200],
} as const;

const buckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export function countedClient(client: Client, { metrics, clock, host }: CountedClientDependencies): Client {
  const requests = metrics.counter(
    "rest_client_requests_total",
    "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.",
    [...["code", "host", "method"]],
  );
  const durations = metrics.histogram(
    "rest_client_request_duration_seconds",
    "[ALPHA] Request latency in seconds. Broken down by verb, and host.",
    {
      ...{ labels: ["verb", "host"], buckets },
    },
  );
  const counted = async <T>(method: string, success: number, call: () => Promise<T>): Promise<T> => {
    const begunMs = clock.monotonic();
    let code = "<error>";
    try {
      const answer = await call();
      code = String(success);
      return answer;
    } catch (error) {
      if (isStatus(error)) code = String(error.code);
      throw error;
    } finally {
      requests.series(code, host, method).add();
      durations.series(method, host).observe((clock.monotonic() - begunMs) / 1000);
    }
  };
  const wrapped = { ...client } as Record<string, unknown>;
  for (const [name, [method, success]] of Object.entries(calls)) {
    const call = client[name as keyof typeof calls] as (...args: readonly unknown[]) => Promise<unknown>;
    wrapped[name] = (...args: readonly unknown[]) => counted(method, success, () => call.apply(client, [...args]));
  }
  wrapped.raw = (...args: Parameters<Client["raw"]>) => counted(args[0], 200, () => client.raw(...args));
  // Every method takes and gives what the client's of that name does.
  return wrapped as unknown as Client;
}
