// Exec, attach and port-forward: the address of the runtime's streaming server that the client's upgraded connection is passed
// through to. Paths and parameters are upstream's.
import type { IncomingMessage } from "node:http";
import type { KubeletServerHost, RemoteCommandOptions } from "./host.ts";
import { containerOf } from "./pod-routes.ts";
import { pageNotFound, urlOf } from "./route.ts";

/** Throws StatusError where the path is no stream's. */
export function streamUrl(host: KubeletServerHost, request: IncomingMessage): Promise<URL> {
  const { pathname, searchParams: query } = urlOf(request);
  const [action, ...encoded] = pathname.slice(1).split("/");
  const parts = encoded.map((part) => decodeURIComponent(part));
  const options = remoteCommandOptions(query);
  if (action === "exec") return host.execUrl(containerOf(parts), query.getAll("command"), options);
  if (action === "attach") return host.attachUrl(containerOf(parts), options);
  const [namespace, pod, podUid] = parts;
  if (action !== "portForward" || !namespace || !pod) throw pageNotFound();
  return host.portForwardUrl({ namespace, pod, ...(podUid ? { podUid } : {}) });
}

export function remoteCommandOptions(query: URLSearchParams): RemoteCommandOptions {
  const on = (name: string): boolean => ["true", "1"].includes(query.get(name) ?? "");
  return { stdin: on("input"), stdout: on("output"), stderr: on("error"), tty: on("tty") };
}

export const isStream = (path: string): boolean => /^\/(exec|attach|portForward)\//.test(path);

/** Node joins repeated headers; the runtime reads one protocol a line. */
export function splitProtocols(request: IncomingMessage): Record<string, string | readonly string[] | undefined> {
  const offered = request.headers["x-stream-protocol-version"];
  const lines = typeof offered === "string" ? offered.split(",").map((p) => p.trim()) : offered;
  return { ...request.headers, ...(lines ? { "x-stream-protocol-version": lines } : {}) };
}
