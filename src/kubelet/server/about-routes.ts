// What the kubelet says about itself: its configuration (/configz), its flags (/flagz) and its build and paths (/statusz).
// The last two answer in text, or as the objects of config.k8s.io where the client asks for one.
import type { IncomingMessage } from "node:http";
import { StatusError } from "../../api/meta/status-error.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import { kubernetesVersion } from "../../base/version.ts";
import { type Route, type RouteCall, sendJson, sendText } from "./route.ts";

export interface AboutKubelet {
  /** A KubeletConfiguration. */
  readonly configuration: () => Readonly<Record<string, unknown>>;
  /** By name, as text. */
  readonly flags: Readonly<Record<string, string>>;
}

const version = "config.k8s.io/v1beta1";

export function aboutRoutes(about: AboutKubelet, clock: Clock, paths: () => readonly string[]): readonly Route[] {
  const startedMs = clock.now();
  return [
    { path: "/configz", answer: ({ response }) => sendJson(response, { kubeletconfig: about.configuration() }) },
    {
      path: "/flagz",
      answer: (call) => {
        const flags = Object.fromEntries(Object.entries(about.flags).sort(([a], [b]) => (a < b ? -1 : 1)));
        page(call, { kind: "Flagz", fields: { flags }, lines: Object.entries(flags).map(([name, value]) => `${name}=${value}`) });
      },
    },
    {
      path: "/statusz",
      answer: (call) => {
        const upSeconds = Math.floor((clock.now() - startedMs) / 1000);
        const binaryVersion = kubernetesVersion.replace(/^v/, "");
        const fields = {
          startTime: formatTime(startedMs),
          uptimeSeconds: upSeconds,
          goVersion: process.version,
          binaryVersion,
          emulationVersion: binaryVersion.split(".").slice(0, 2).join("."),
          paths: [...paths()].sort(),
        };
        const lines = [
          `Started: ${unixDate(startedMs)}`,
          `Up: ${upText(upSeconds)}`,
          `Go version: ${fields.goVersion}`,
          `Binary version: ${fields.binaryVersion}`,
          `Emulation version: ${fields.emulationVersion}`,
          `Paths: ${fields.paths.join(" ")}`,
        ];
        page(call, { kind: "Statusz", fields, lines });
      },
    },
  ];
}

/** "Sun Nov 29 20:48:29 UTC 2026". */
function unixDate(ms: number): string {
  const [weekday, day = "", month, year, time] = new Date(ms).toUTCString().split(/,? /);
  return `${weekday} ${month} ${day.replace(/^0/, " ")} ${time} UTC ${year}`;
}

const two = (value: number): string => String(value).padStart(2, "0");
const upText = (seconds: number): string =>
  `${Math.floor(seconds / 3600)} hr ${two(Math.floor(seconds / 60) % 60)} min ${two(seconds % 60)} sec`;

interface Page {
  readonly kind: "Flagz" | "Statusz";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

const warning =
  "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";

function page({ request, response }: RouteCall, { kind, fields, lines }: Page): void {
  if (wantsObject(request, kind)) return sendJson(response, { kind, apiVersion: version, metadata: { name: "kubelet" }, ...fields });
  sendText(response, `\nkubelet ${kind.toLowerCase()}\n${warning}\n\n${lines.join("\n")}\n`);
}

/** JSON comes only as an object of a version that the client names. */
function wantsObject(request: IncomingMessage, kind: string): boolean {
  const accept = (request.headers.accept ?? "").toLowerCase();
  if (accept.trim() === "" || /text\/plain|\*\/\*|text\/\*/.test(accept)) return false;
  const named = accept.includes("application/json") && accept.includes("v=v1beta1") && accept.includes("g=config.k8s.io");
  if (named && accept.includes(`as=${kind.toLowerCase()}`)) return true;
  const accepted = `text/plain, application/json;g=config.k8s.io;v=v1beta1;as=${kind}`;
  throw new StatusError({ code: 406, reason: "NotAcceptable", message: `only the following media types are accepted: ${accepted}` });
}
