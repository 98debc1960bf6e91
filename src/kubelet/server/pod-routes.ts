// The endpoints that reach into pods: their lists, container logs, running a command, checkpoints. What upgrades its connection
// (exec, attach, port-forward) answers a plain request with the advice to upgrade; streams.ts has the rest.
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { ContainerReference, KubeletServerHost, LogOptions } from "./host.ts";
import { type Route, sendJson } from "./route.ts";

export function podRoutes(host: () => KubeletServerHost): readonly Route[] {
  const upgradeOnly = (path: string): Route => ({
    path,
    methods: ["GET", "POST"],
    debugging: true,
    answer: () => {
      throw badRequest("Upgrade request required");
    },
  });
  return [
    { path: "/pods", readOnly: true, answer: ({ response }) => sendJson(response, podList(host().pods())) },
    {
      path: "/runningpods",
      debugging: true,
      answer: async ({ response }) => sendJson(response, podList(await host().runningPods())),
    },
    {
      path: "/containerLogs",
      debugging: true,
      answer: ({ parts, url, response }) => sendLog(host(), containerOf(parts), url.searchParams, response),
    },
    {
      path: "/run",
      methods: ["POST"],
      debugging: true,
      async answer({ parts, url, response }) {
        response.setHeader("content-type", "application/json");
        response.end(await host().run(containerOf(parts), (url.searchParams.get("cmd") ?? "").split(" ")));
      },
    },
    {
      path: "/checkpoint",
      methods: ["POST"],
      async answer({ parts, url, response }) {
        const timeoutSeconds = checkpointTimeout(url.searchParams.getAll("timeout").at(-1));
        sendJson(response, { items: [await host().checkpoint(containerOf(parts), timeoutSeconds)] });
      },
    },
    ...["/exec", "/attach", "/portForward"].map(upgradeOnly),
  ];
}

const podList = (items: readonly Pod[]): unknown => ({ kind: "PodList", apiVersion: "v1", metadata: {}, items });

/** [namespace, pod, container] or [namespace, pod, uid, container]. */
export function containerOf(parts: readonly string[]): ContainerReference {
  const [namespace, pod, third, fourth] = parts;
  if (!namespace || !pod || !third) throw badRequest("expected /namespace/pod/container or /namespace/pod/uid/container");
  return fourth === undefined ? { namespace, pod, container: third } : { namespace, pod, container: fourth, podUid: third };
}

function checkpointTimeout(given: string | undefined): number {
  if (given === undefined) return 0;
  if (!/^-?\d{1,18}$/.test(given))
    throw new StatusError({ code: 404, reason: "NotFound", message: "cannot parse value of timeout parameter" });
  return Number(given);
}

async function sendLog(host: KubeletServerHost, at: ContainerReference, query: URLSearchParams, response: ServerResponse): Promise<void> {
  const abort = new AbortController();
  response.on("close", () => abort.abort());
  const log = await host.containerLog(at, logOptions(query), abort.signal);
  response.setHeader("content-type", "text/plain");
  response.flushHeaders();
  try {
    await pipeline(Readable.from(log, { objectMode: false }), response);
  } catch (error) {
    // The client has had enough: nothing to tell anybody.
    if (!abort.signal.aborted) throw error;
  }
}

function logOptions(query: URLSearchParams): LogOptions {
  const on = (name: string): boolean => ["true", "1"].includes(query.get(name) ?? "");
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === "") return undefined;
    if (!/^\d+$/.test(text)) throw badRequest(`${name} must be a whole number, not ${JSON.stringify(text)}`);
    return Number(text);
  };
  const tail = query.get("tail");
  const sinceTime = query.get("sinceTime");
  const optional = {
    // The old name of the parameter; "all" is the same as leaving it out.
    tailLines: tail ? (tail === "all" ? undefined : number("tail")) : number("tailLines"),
    limitBytes: number("limitBytes"),
    sinceSeconds: number("sinceSeconds"),
    sinceTimeMs: sinceTime ? Date.parse(sinceTime) : undefined,
    stream: (query.get("stream") ?? undefined) as LogOptions["stream"] | undefined,
  };
  const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { follow: on("follow"), previous: on("previous"), timestamps: on("timestamps"), ...present };
}
