// /statusz and /flagz: what the server is and with which flags it was started, for people, and (in forms that are named by
// their versions) for programs. Upstream's formats.
import { StatusError } from "../api/meta/status-error.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import { kubernetesVersion } from "../base/version.ts";
import { encodeJson, encodeYaml } from "./http/encode.ts";
import { type EndpointSource, plainText } from "./http/endpoints.ts";
import { acceptedClauses } from "./http/negotiate.ts";
import type { ApiRequest, ApiResponse, Handler } from "./request.ts";

export interface ZPagesDeps {
  readonly clock: Clock;
  /** By their names, as texts. */
  readonly flags: Readonly<Record<string, string>>;
}

const component = "apiserver";
const caution =
  "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";
const paths = ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"];
const group = "config.k8s.io";
const versions: ReadonlySet<string> = new Set(["v1alpha1", "v1beta1"]);

export function createZPages({ clock, flags }: ZPagesDeps): EndpointSource {
  const startedMs = clock.now();
  const status: Page = {
    kind: "Statusz",
    text: () => statusText(startedMs, clock.now()),
    fields: () => ({
      startTime: formatTime(startedMs),
      uptimeSeconds: Math.floor((clock.now() - startedMs) / 1000),
      ...versionFields,
      paths,
    }),
  };
  const ordered = Object.fromEntries(Object.entries(flags).sort(([a], [b]) => (a < b ? -1 : 1)));
  const lines = Object.entries(ordered).map(([name, value]) => `${name}=${value}\n`);
  const flagPage: Page = {
    kind: "Flagz",
    text: () => `\n${component} flagz\n${caution}\n${lines.join("")}`,
    fields: () => ({ flags: ordered }),
  };
  const handlers: Readonly<Record<string, Handler>> = { "/statusz": served(status), "/flagz": served(flagPage) };
  return { paths: () => Object.keys(handlers), find: (path) => (Object.hasOwn(handlers, path) ? handlers[path] : undefined) };
}

interface Page {
  readonly kind: string;
  text(): string;
  fields(): Readonly<Record<string, unknown>>;
}

const [, plainVersion = kubernetesVersion] = /^v([\d.]+)/.exec(kubernetesVersion) ?? [];
const versionFields = {
  goVersion: `node${process.versions.node}`,
  binaryVersion: plainVersion,
  emulationVersion: plainVersion.split(".").slice(0, 2).join("."),
};

function statusText(startedMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - startedMs) / 1000);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const [day, date, month, year, time] = new Date(startedMs).toUTCString().replace(",", "").split(" ");
  const lines = [
    "",
    `${component} statusz`,
    caution,
    "",
    `Started: ${day} ${month} ${String(Number(date)).padStart(2, " ")} ${time} UTC ${year}`,
    `Up: ${Math.floor(seconds / 3600)} hr ${two((seconds / 60) % 60)} min ${two(seconds % 60)} sec`,
    `Go version: ${versionFields.goVersion}`,
    `Binary version: ${versionFields.binaryVersion}`,
    `Emulation version: ${versionFields.emulationVersion}`,
    `Paths: ${paths.join(" ")}`,
  ];
  return `${lines.join("\n")}\n`;
}

function served(page: Page): Handler {
  return async ({ request }): Promise<ApiResponse> => {
    const form = formFor(request, page.kind);
    if (form === "text") return plainText(200, page.text());
    const { version, encoding } = form;
    const object = { kind: page.kind, apiVersion: `${group}/${version}`, metadata: { name: component }, ...page.fields() };
    return {
      kind: "bytes",
      status: 200,
      contentType: `application/${encoding};g=${group};v=${version};as=${page.kind}`,
      bytes: encoding === "yaml" ? await encodeYaml(object) : encodeJson(object),
    };
  };
}

type Form = "text" | { readonly version: string; readonly encoding: "json" | "yaml" };

/** Text for whoever does not name a form; throws the 406 Status. */
function formFor({ headers: { accept } }: ApiRequest, kind: string): Form {
  if (!accept) return "text";
  for (const { type, subtype, parameters } of acceptedClauses(accept)) {
    if ((type === "*" && subtype === "*") || (type === "text" && (subtype === "plain" || subtype === "*"))) return "text";
    const version = parameters.get("v") ?? "";
    if (type !== "application" || (subtype !== "json" && subtype !== "yaml")) continue;
    if (parameters.get("as") === kind && parameters.get("g") === group && versions.has(version)) return { version, encoding: subtype };
  }
  const message = "only the following media types are accepted: application/json, application/yaml, text/plain";
  throw new StatusError({ code: 406, reason: "NotAcceptable", message });
}
