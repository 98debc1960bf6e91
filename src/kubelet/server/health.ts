// The kubelet's /healthz with its checks (ping, log, syncloop), as the HTTPS server, the read-only port and the health port of
// the loopback address answer it.
import { StatusError } from "../../api/meta/status-error.ts";
import { pageNotFound, type Route, sendText } from "./route.ts";

/** Why it is not well; undefined when it is. Asked at each request. */
export type HealthCheck = () => string | undefined;

export function healthRoute(checks: ReadonlyMap<string, HealthCheck>): Route {
  const all: ReadonlyMap<string, HealthCheck> = new Map([["ping", () => undefined], ["log", () => undefined], ...checks]);
  return {
    path: "/healthz",
    readOnly: true,
    answer({ url, parts, response }) {
      const [name, ...more] = parts;
      if (name !== undefined) {
        const check = all.get(name);
        if (!check || more.length > 0) throw pageNotFound();
        const problem = check();
        if (problem !== undefined) throw unhealthy(`internal server error: ${problem}\n`);
        return sendText(response, "ok");
      }
      const excluded = new Set(url.searchParams.getAll("exclude"));
      const { lines, isWell } = report(all, excluded);
      if (excluded.size > 0) {
        const names = [...excluded].sort().map((n) => JSON.stringify(n));
        lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(", ")}\n`);
      }
      if (!isWell) throw unhealthy(`${lines.join("")}healthz check failed\n`);
      sendText(response, url.searchParams.has("verbose") ? `${lines.join("")}healthz check passed\n` : "ok");
    },
  };
}

function report(checks: ReadonlyMap<string, HealthCheck>, excluded: Set<string>): { readonly lines: string[]; readonly isWell: boolean } {
  const lines: string[] = [];
  let isWell = true;
  for (const [name, check] of checks) {
    if (excluded.delete(name)) lines.push(`[+]${name} excluded: ok\n`);
    else if (check() === undefined) lines.push(`[+]${name} ok\n`);
    else {
      lines.push(`[-]${name} failed: reason withheld\n`);
      isWell = false;
    }
  }
  return { lines, isWell };
}

const unhealthy = (message: string): StatusError => new StatusError({ code: 500, reason: "InternalError", message });
