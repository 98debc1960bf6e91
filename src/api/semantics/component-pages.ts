// What components say about themselves: their flags (/flagz) and their build and paths (/statusz), in text, or as the objects
// of config.k8s.io where the client asks for one.
import { formatTime } from "../../base/clock.ts";
import { StatusError } from "../meta/status-error.ts";

export interface AskedPage {
  /** The component's name, as the page shows it: "kubelet". */
  readonly component: string;
  /** The Accept header; "" where there is none. */
  readonly accept: string;
}

export interface ShownPage {
  readonly contentType: string;
  readonly body: string;
}

export interface ComponentFacts {
  readonly startedMs: number;
  readonly nowMs: number;
  /** "v1.36.2". */
  readonly version: string;
  /** Of what runs it. */
  readonly platformVersion: string;
  readonly paths: readonly string[];
}

const version = "config.k8s.io/v1beta1";

/** `flags`: by name, as text. Throws a StatusError (406) where the client wants another form. */
export function flagzPage(asked: AskedPage, given: Readonly<Record<string, string>>): ShownPage {
  const flags = Object.fromEntries(Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)));
  return page(asked, { kind: "Flagz", fields: { flags }, lines: Object.entries(flags).map(([name, value]) => `${name}=${value}`) });
}

/** Throws a StatusError (406) where the client wants another form. */
export function statuszPage(asked: AskedPage, facts: ComponentFacts): ShownPage {
  const { startedMs, nowMs } = facts;
  const upSeconds = Math.floor((nowMs - startedMs) / 1000);
  const binaryVersion = facts.version.replace(/^v/, "");
  const fields = {
    startTime: formatTime(startedMs),
    uptimeSeconds: upSeconds,
    goVersion: facts.platformVersion,
    binaryVersion,
    emulationVersion: binaryVersion.split(".").slice(0, 2).join("."),
    paths: [...facts.paths].sort(),
  };
  const lines = [
    `Started: ${new Date(startedMs).toUTCString()}`,
    `Up: ${upText(upSeconds)}`,
    `Go version: ${fields.goVersion}`,
    `Binary version: ${fields.binaryVersion}`,
    `Emulation version: ${fields.emulationVersion}`,
    `Paths: ${fields.paths.join(" ")}`,
  ];
  return page(asked, { kind: "Statusz", fields, lines });
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

function page({ component, accept }: AskedPage, { kind, fields, lines }: Page): ShownPage {
  if (wantsObject(accept.toLowerCase(), kind)) {
    const object = { kind, apiVersion: version, metadata: { name: component }, ...fields };
    return { contentType: `application/json;g=config.k8s.io;v=v1beta1;as=${kind}`, body: JSON.stringify(object) };
  }
  const body = `\n${component} ${kind.toLowerCase()}\n${warning}\n\n${lines.join("\n")}\n`;
  return { contentType: "text/plain; charset=utf-8", body };
}

/** JSON comes only as an object of a version that the client names. */
function wantsObject(accept: string, kind: string): boolean {
  if (accept.trim() === "" || /text\/plain|\*\/\*|text\/\*/.test(accept)) return false;
  const named = accept.includes("application/json") && accept.includes("v=v1beta1") && accept.includes("g=config.k8s.io");
  if (named && accept.includes(`as=${kind.toLowerCase()}`)) return true;
  const accepted = `text/plain, application/json;g=config.k8s.io;v=v1beta1;as=${kind}`;
  throw new StatusError({ code: 406, reason: "NotAcceptable", message: `only the following media types are accepted: ${accepted}` });
}
