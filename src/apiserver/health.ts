// /healthz, /livez and /readyz: named checks, each also at a path of its own, with ?verbose and ?exclude as upstream.
import type { Clock } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { EndpointSource } from "./http/endpoints.ts";
import { plainText } from "./http/plain-text.ts";
import type { ApiResponse, Handler } from "./request.ts";

export interface HealthCheck {
  /** "ping", "etcd", "poststarthook/rbac/bootstrap-roles". */
  readonly name: string;
  /** Of several checks: who excludes this name excludes them all. */
  readonly group?: string;
  /** Throws what is wrong. */
  check(): Promise<void> | void;
  /** Only /readyz asks it: not being ready is no reason to be restarted. */
  readonly readinessOnly?: boolean;
  /** /livez does not ask it, and /healthz does. */
  readonly exceptLiveness?: boolean;
  /** /readyz does not ask it. */
  readonly livenessOnly?: boolean;
  /** How long it may take. Default 2 s. */
  readonly timeoutMs?: number;
}

export interface HealthDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each check that /healthz, /livez or /readyz made. */
  readonly observe?: (name: string, endpoint: string, isOk: boolean) => void;
}

const checkTimeoutMs = 2000;

export function createHealth(checks: readonly HealthCheck[], deps: HealthDeps): EndpointSource {
  const healthy = checks.filter((c) => !c.readinessOnly);
  const live = healthy.filter((c) => !c.exceptLiveness);
  const ready = checks.filter((c) => !c.livenessOnly);
  const endpoints: Readonly<Record<string, readonly HealthCheck[]>> = { healthz: healthy, livez: live, readyz: ready };
  return {
    paths: () => Object.entries(endpoints).flatMap(([name, list]) => [`/${name}`, ...list.map((c) => `/${name}/${c.name}`)]),
    find(path) {
      const [, endpoint = ""] = path.split("/", 2);
      const list = Object.hasOwn(endpoints, endpoint) ? endpoints[endpoint] : undefined;
      if (!list) return undefined;
      if (path.length === endpoint.length + 1) return all(endpoint, list, deps);
      const single = list.find((c) => `/${endpoint}/${c.name}` === path);
      return single && one(single, deps);
    },
  };
}

function all(endpoint: string, checks: readonly HealthCheck[], deps: HealthDeps): Handler {
  return async ({ request }) => {
    const excluded = new Set(request.query.getAll("exclude"));
    const unknown = new Set(excluded);
    const lines: string[] = [];
    const failures: string[] = [];
    const nameExcluded = ({ name, group }: HealthCheck): string | undefined =>
      [name, group].find((n) => n !== undefined && excluded.has(n));
    const results = await Promise.all(checks.map((c) => (nameExcluded(c) === undefined ? failureOf(c, deps.clock) : undefined)));
    checks.forEach((check, i) => {
      const failure = results[i];
      const excludedBy = nameExcluded(check);
      if (excludedBy !== undefined) {
        unknown.delete(excludedBy);
        lines.push(`[+]${check.name} excluded${excludedBy === check.name ? "" : ` with ${excludedBy}`}: ok\n`);
        return;
      }
      deps.observe?.(check.name, endpoint, failure === undefined);
      if (failure === undefined) lines.push(`[+]${check.name} ok\n`);
      else {
        // The reason is for the log: everybody may ask for this path.
        lines.push(`[-]${check.name} failed: reason withheld\n`);
        failures.push(`${check.name}: ${failure}`);
      }
    });
    if (unknown.size > 0) {
      const names = [...unknown].sort().map((name) => JSON.stringify(name));
      lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(",")}\n`);
    }
    if (failures.length > 0) {
      deps.logger.info("Health check failed", { endpoint, failures }, 2);
      return plainText(500, `${lines.join("")}${endpoint} check failed\n`);
    }
    return plainText(200, request.query.has("verbose") ? `${lines.join("")}${endpoint} check passed\n` : "ok");
  };
}

function one(check: HealthCheck, deps: HealthDeps): Handler {
  return async (): Promise<ApiResponse> => {
    const failure = await failureOf(check, deps.clock);
    if (failure === undefined) return { kind: "bytes", status: 200, contentType: "text/plain; charset=utf-8", bytes: Buffer.from("ok") };
    return plainText(500, `internal server error: ${failure}\n`);
  };
}

/** What is wrong, or undefined. A check that does not answer in time has failed. */
export async function failureOf(
  check: Pick<HealthCheck, "check" | "timeoutMs">,
  clock: Clock,
  timeoutMs: number = check.timeoutMs ?? checkTimeoutMs,
): Promise<string | undefined> {
  const done = new AbortController();
  try {
    const late = clock.sleep(timeoutMs, done.signal).then(() => {
      throw new Error(`no answer in ${timeoutMs} ms`);
    });
    late.catch(() => undefined);
    await Promise.race([check.check(), late]);
    return undefined;
  } catch (error) {
    return errorText(error);
  } finally {
    done.abort();
  }
}
