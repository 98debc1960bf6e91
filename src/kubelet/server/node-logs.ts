// /logs/: the files below /var/log, and, with enableSystemLogQuery, the logs of services by name: from the journal where it
// knows the service, else from the file that upstream's heuristics find. Nothing outside /var/log is ever read, wherever
// symbolic links point, and no service's name becomes anything but a journal's unit.
import { createReadStream } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { StatusError } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import { runCommand } from "../../linux/run-command.ts";
import { hasOptions, type LogQuery, parseLogQuery } from "./log-query.ts";
import { type RouteCall, sendText } from "./route.ts";

export interface NodeLogOptions {
  readonly clock: Clock;
  readonly withQuery: boolean;
  /** For tests. Default "/var/log". */
  readonly directory?: string;
  /** For tests. Default "journalctl". */
  readonly journal?: string;
}

const defaultDirectory = "/var/log";
const journalTimeoutMs = 30_000;
const maxJournalBytes = 64 * 2 ** 20;

export async function answerNodeLogs(call: RouteCall, options: NodeLogOptions): Promise<void> {
  const directory = options.directory ?? defaultDirectory;
  if (options.withQuery) {
    const { query, malformed, refused } = parseLogQuery(call.url.searchParams);
    if (malformed.length > 0) throw new StatusError({ code: 400, reason: "BadRequest", message: `${textOf(malformed)}\n` });
    if (refused.length > 0) throw new StatusError({ code: 406, reason: "NotAcceptable", message: `${textOf(refused)}\n` });
    if (query.services.length > 0) return sendServices(call.response, query, { ...options, directory });
    const [file] = query.files;
    if (file !== undefined) return sendPath(call.response, directory, file.replaceAll("\\", "/"));
  }
  await sendPath(call.response, directory, call.parts.join("/"), call.url.pathname);
}

function textOf(errors: readonly { readonly message: string }[]): string {
  const messages = errors.map((e) => e.message);
  return messages.length === 1 ? (messages[0] ?? "") : `[${messages.join(", ")}]`;
}

const fileNotFound = (): StatusError => new StatusError({ code: 404, reason: "NotFound", message: "404 page not found\n" });

/** The path of a file or directory below `directory`, symbolic links followed; undefined where there is none. */
async function resolveBelow(directory: string, path: string): Promise<string | undefined> {
  try {
    const root = await realpath(directory);
    const found = await realpath(join(root, path));
    return found === root || found.startsWith(`${root}/`) ? found : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ENAMETOOLONG") return undefined;
    throw error;
  }
}

async function sendPath(response: ServerResponse, directory: string, path: string, requested = ""): Promise<void> {
  if (path.includes("\0")) throw fileNotFound();
  const found = await resolveBelow(directory, path);
  if (found === undefined) throw fileNotFound();
  if ((await stat(found)).isDirectory()) return sendListing(response, found, requested);
  await sendFile(response, found);
}

async function sendFile(response: ServerResponse, path: string): Promise<void> {
  if (!(await stat(path)).isFile()) throw fileNotFound(); // pipes and devices would block
  response.setHeader("content-type", "text/plain; charset=utf-8");
  await pipeline(createReadStream(path), response);
}

/** Links are relative to the directory, so its address ends in "/". */
async function sendListing(response: ServerResponse, path: string, requested: string): Promise<void> {
  if (requested !== "" && !requested.endsWith("/")) {
    const name = requested.slice(requested.lastIndexOf("/") + 1);
    response.writeHead(301, { location: `${name}/` });
    return void response.end();
  }
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  const rows = names.map((name) => `<a href="${encodeURI(name)}">${escaped(name)}</a>\n`);
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(`<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${rows.join("")}</pre>\n`);
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

async function sendServices(
  response: ServerResponse,
  query: LogQuery,
  { directory, journal = "journalctl" }: NodeLogOptions & { readonly directory: string },
): Promise<void> {
  const units = await knownUnits(journal);
  const native = query.services.filter((name) => units.has(`${name}.service`) || units.has(name));
  const others = query.services.filter((name) => !native.includes(name));
  if (others.length > 0 && hasOptions(query)) {
    const named = `[${others.join(" ")}]`;
    return sendText(response, `\noptions present and query resolved to log files for ${named}\ntry without specifying options\n`);
  }
  if (others.length === 0) return sendText(response, await journalText(journal, query, native));
  for (const service of others) {
    const path = await serviceFile(directory, service);
    if (others.length === 1 && path !== undefined) return sendFile(response, path);
    if (path === undefined) response.write(`\nlog not found for ${service}\n`);
    else await pipeline(createReadStream(path), response, { end: false });
  }
  response.end();
}

/** /var/log/<service>, <service>.log or <service>/<service>.log. */
async function serviceFile(directory: string, service: string): Promise<string | undefined> {
  for (const name of [service, `${service}.log`, `${service}/${service}.log`]) {
    const path = await resolveBelow(directory, name);
    if (path !== undefined && (await stat(path)).isFile()) return path;
  }
  return undefined;
}

async function knownUnits(journal: string): Promise<ReadonlySet<string>> {
  try {
    const { stdout } = await runCommand(journal, ["--field", "_SYSTEMD_UNIT"], { timeoutMs: journalTimeoutMs });
    return new Set(stdout.split("\n"));
  } catch {
    return new Set(); // without a journal services log to files
  }
}

async function journalText(journal: string, query: LogQuery, units: readonly string[]): Promise<string> {
  const date = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  const { sinceMs, untilMs, tailLines, boot, pattern } = query;
  const args = [
    "--utc",
    "--no-pager",
    ...(sinceMs === undefined ? [] : [`--since=${date(sinceMs)}`]),
    ...(untilMs === undefined ? [] : [`--until=${date(untilMs)}`]),
    ...(tailLines === undefined ? [] : ["--pager-end", `--lines=${tailLines}`]),
    ...units.map((unit) => `--unit=${unit}`),
    ...(pattern === undefined ? [] : [`--grep=${pattern}`, "--case-sensitive=false"]),
    ...(boot === undefined ? [] : ["--boot", String(boot)]),
    "--output=short-precise",
  ];
  try {
    return (await runCommand(journal, args, { timeoutMs: journalTimeoutMs, maxOutputBytes: maxJournalBytes })).stdout;
  } catch {
    return "\nerror: journal output not available\n";
  }
}
