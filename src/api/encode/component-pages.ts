// /statusz and /flagz of a component, as upstream's (config.k8s.io): in text for people, or as an object where the client names its
// kind and version. What a component says of itself comes from the component; this is the form.

/** What a component is, for /statusz. */
export interface ComponentStatus {
  readonly component: string;
  readonly startedMs: number;
  readonly nowMs: number;
  /** Of what runs it; upstream's is Go's. */
  readonly platformVersion: string;
  /** "1.36.2". */
  readonly binaryVersion: string;
  readonly paths: readonly string[];
}

/** One of the two pages. */
export interface ComponentPage {
  readonly component: string;
  readonly kind: "Flagz" | "Statusz";
  /** Of the object, besides its kind, version and name. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export interface PageAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const warning =
  "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";
const notAcceptable = "only the following media types are accepted: application/json, application/yaml, text/plain";
/** The newest first; a client that asks for another one is warned. */
const versions = ["v1beta1", "v1alpha1"];

export function statuszPage(status: ComponentStatus): ComponentPage {
  const { component, startedMs, nowMs, platformVersion, binaryVersion } = status;
  const uptimeSeconds = Math.max(0, Math.floor((nowMs - startedMs) / 1000));
  const emulationVersion = binaryVersion.split(".").slice(0, 2).join(".");
  const paths = [...status.paths].sort();
  const lines = [
    `Started: ${unixDate(startedMs)}`,
    `Up: ${upText(uptimeSeconds)}`,
    `Go version: ${platformVersion}`,
    `Binary version: ${binaryVersion}`,
    `Emulation version: ${emulationVersion}`,
    `Paths: ${paths.join(" ")}`,
  ];
  const startTime = `${new Date(startedMs).toISOString().slice(0, 19)}Z`;
  const fields = { startTime, uptimeSeconds, goVersion: platformVersion, binaryVersion, emulationVersion, paths };
  return { component, kind: "Statusz", fields, text: `\n${component} statusz\n${warning}\n\n${lines.join("\n")}\n` };
}

/** Values as text, by the flags' names. */
export function flagzPage(component: string, values: Readonly<Record<string, string>>): ComponentPage {
  const flags = Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
  const lines = Object.entries(flags).map(([name, value]) => `${name}=${value}\n`);
  return { component, kind: "Flagz", fields: { flags }, text: `\n${component} flagz\n${warning}\n${lines.join("")}` };
}

export interface PageRequest {
  /** The request's header. */
  readonly accept: string | undefined;
  /** Indented, for people. Default true. */
  readonly isPretty?: boolean;
}

export async function answerPage(page: ComponentPage, { accept, isPretty = true }: PageRequest): Promise<PageAnswer> {
  const form = chosenForm(page, accept ?? "");
  if (form === undefined) {
    const status = {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: notAcceptable,
      reason: "NotAcceptable",
      code: 406,
    };
    return { status: 406, contentType: "application/json", headers: {}, body: pretty(status) };
  }
  if (form === "text") return { status: 200, contentType: "text/plain; charset=utf-8", headers: {}, body: page.text };
  const { type, version } = form;
  const object = { kind: page.kind, apiVersion: `config.k8s.io/${version}`, metadata: { name: page.component }, ...page.fields };
  const path = page.kind.toLowerCase();
  return {
    status: 200,
    contentType: `application/${type};g=config.k8s.io;v=${version};as=${page.kind}`,
    headers:
      version === versions[0] ? {} : { warning: `299 - "This version of the ${path} endpoint is deprecated. Please use a newer version."` },
    body: type === "yaml" ? await yamlText(object) : isPretty ? pretty(object) : `${JSON.stringify(object)}\n`,
  };
}

interface ObjectForm {
  readonly type: "json" | "yaml";
  readonly version: string;
}

/** The first that the client likes best of those there are. JSON and YAML come only as an object of a version that it names. */
function chosenForm({ kind }: ComponentPage, accept: string): ObjectForm | "text" | undefined {
  if (accept.trim() === "") return "text";
  for (const { type, parameters } of acceptedTypes(accept)) {
    if (type === "*/*" || type === "text/*" || type === "text/plain") return "text";
    const [, format] = /^application\/(json|yaml)$/.exec(type) ?? [];
    const version = versions.find((known) => known === parameters.v);
    if ((format === "json" || format === "yaml") && version !== undefined && parameters.g === "config.k8s.io" && parameters.as === kind)
      return { type: format, version };
  }
  return undefined;
}

interface AcceptedType {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly quality: number;
}

/** The best first; those that are as good as each other in the client's order. */
function acceptedTypes(accept: string): readonly AcceptedType[] {
  const types = accept.split(",").map((clause): AcceptedType => {
    const [type = "", ...rest] = clause.split(";").map((part) => part.trim());
    const parameters = Object.fromEntries(rest.map((part) => [part.split("=", 1)[0] ?? "", part.slice(part.indexOf("=") + 1)]));
    const quality = parameters.q === undefined ? 1 : Number(parameters.q);
    return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 1 };
  });
  return types.sort((a, b) => b.quality - a.quality);
}

const pretty = (object: unknown): string => JSON.stringify(object, undefined, 2);

async function yamlText(object: unknown): Promise<string> {
  const { stringify } = await import("./yaml-text.ts");
  return stringify(object, { sortMapEntries: true, indentSeq: false, lineWidth: 0, version: "1.1" });
}

const two = (value: number): string => String(value).padStart(2, "0");

const upText = (seconds: number): string =>
  `${Math.floor(seconds / 3600)} hr ${two(Math.floor(seconds / 60) % 60)} min ${two(seconds % 60)} sec`;

/** "Sun Nov  1 21:05:39 UTC 2026". */
function unixDate(ms: number): string {
  const [weekday = "", day = "", month = "", year = "", time = ""] = new Date(ms).toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} UTC ${year}`;
}
