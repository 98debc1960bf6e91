// What --profiling serves at the secure port and --debug-socket-path at a socket: profiles of the process below /debug/pprof/, and
// the verbosity of the log at /debug/flags/v. Of Go's profiles there are those that say something here; one is taken at a time.
import type { Clock } from "../../base/clock.ts";
import { errorText, type LogLevel } from "../../base/log.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { plainText } from "../http/plain-text.ts";
import type { ApiRequest, ApiResponse, Handler } from "../request.ts";

export interface DebugDependencies {
  readonly clock: Clock;
  readonly level: LogLevel;
}

const defaultSeconds = { profile: 30, heap: 10 } as const;
const maxSeconds = 300;
const maxVerbosity = 2 ** 32 - 1;
const maxBodyBytes = 1024;

type ProfileName = keyof typeof defaultSeconds;

export function createDebugEndpoints({ clock, level }: DebugDependencies): EndpointSource {
  let isTaken = false;
  const profile =
    (name: ProfileName): Handler =>
    async ({ request }) => {
      const seconds = secondsOf(request, name);
      if (typeof seconds === "string") return plainText(400, `${seconds}\n`);
      if (isTaken) return plainText(500, `Could not enable CPU profiling: a profile is being taken already\n`);
      isTaken = true;
      try {
        const { cpuProfile, heapProfile } = await import("./profiles.ts");
        const take = name === "profile" ? cpuProfile : heapProfile;
        const bytes = await take({ clock, seconds, signal: request.signal });
        const headers = { "Content-Disposition": `attachment; filename="${name}"` };
        return { kind: "bytes", status: 200, contentType: "application/octet-stream", bytes, headers };
      } finally {
        isTaken = false;
      }
    };
  const handlers: Readonly<Record<string, Handler>> = {
    "/debug/pprof": async ({ request }) => (request.path.endsWith("/") ? index : moved),
    "/debug/pprof/profile": profile("profile"),
    "/debug/pprof/heap": profile("heap"),
    "/debug/pprof/cmdline": async () => plainText(200, process.argv.join("\0")),
    "/debug/flags": async () => html("<title>/debug/flags/</title>\n/debug/flags/<br>\nflags:<br>\nv<br>\n"),
    "/debug/flags/v": ({ request }) => setVerbosity(request, level),
  };
  return {
    // Not listed at "/", as upstream.
    paths: () => [],
    find(path) {
      if (Object.hasOwn(handlers, path)) return handlers[path];
      return path.startsWith("/debug/pprof/") ? async () => plainText(404, "Unknown profile\n") : undefined;
    },
  };
}

const moved: ApiResponse = {
  kind: "bytes",
  status: 302,
  contentType: "text/html; charset=utf-8",
  bytes: Buffer.from('<a href="/debug/pprof/">Found</a>.\n\n'),
  headers: { Location: "/debug/pprof/" },
};

const html = (body: string): ApiResponse => ({
  kind: "bytes",
  status: 200,
  contentType: "text/html; charset=utf-8",
  bytes: Buffer.from(body),
});

const index = html(`<title>/debug/pprof/</title>
<p>/debug/pprof/</p>
<ul>
<li><a href="profile">profile</a>: where processor time goes (?seconds=30)</li>
<li><a href="heap">heap</a>: what is allocated and stays (?seconds=10)</li>
<li><a href="cmdline">cmdline</a>: the command line of this process</li>
</ul>
`);

/** A text is what is wrong. */
function secondsOf({ query }: ApiRequest, name: ProfileName): number | string {
  const text = query.get("seconds") ?? "";
  if (text === "") return defaultSeconds[name];
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= maxSeconds)) return `seconds: expected a number from 1 to ${maxSeconds}`;
  return seconds;
}

/** As klog tells it. */
async function setVerbosity({ method, body }: ApiRequest, level: LogLevel): Promise<ApiResponse> {
  if (method !== "PUT") return plainText(406, "unsupported http method");
  let text: string;
  try {
    text = body.kind === "bytes" ? Buffer.from(await body.read(maxBodyBytes)).toString() : "";
  } catch (error) {
    return plainText(400, `error reading request body: ${errorText(error)}`);
  }
  const verbosity = Number(text);
  if (!/^\d+$/.test(text) || verbosity > maxVerbosity) {
    const why = /^\d+$/.test(text) ? "value out of range" : "invalid syntax";
    return plainText(400, `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`);
  }
  level.set(verbosity);
  return plainText(200, `successfully set klog.logging.verbosity to ${text}`);
}
