// Content negotiation: which encoding (and which transformation: Table, PartialObjectMetadata) an Accept header asks for,
// and how a request's body is encoded. Upstream checks in two steps, and so do the messages here: the router refuses media
// types no route produces or consumes ("406: Not Acceptable …"), then the serializer refuses parameters and encodings it
// does not serve ("only the following media types are accepted: …"). Parsed headers are remembered: clients repeat them.

import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import type { GroupVersionKind } from "../../api/resource-type.ts";
import type { RequestContext } from "../request.ts";

export type Encoding = "json" | "yaml" | "protobuf" | "cbor";

/** The media type of each encoding, in upstream's order of preference. */
export const mediaTypes: Readonly<Record<Encoding, string>> = {
  json: "application/json",
  yaml: "application/yaml",
  protobuf: "application/vnd.kubernetes.protobuf",
  cbor: "application/cbor",
};

/** What a watch in CBOR is: one data item after the other. */
export const cborSequence = "application/cbor-seq";

/** What is served, and what refusals list of it. */
interface Served {
  readonly encodings: readonly Encoding[];
  readonly types: readonly string[];
  readonly streamTypes: readonly string[];
}

const withoutCbor: Served = {
  encodings: ["json", "yaml", "protobuf"],
  types: [mediaTypes.json, mediaTypes.yaml, mediaTypes.protobuf],
  streamTypes: [`${mediaTypes.json};stream=watch`, `${mediaTypes.protobuf};stream=watch`],
};

const withCbor: Served = {
  encodings: [...withoutCbor.encodings, "cbor"],
  types: [...withoutCbor.types, mediaTypes.cbor],
  streamTypes: [...withoutCbor.streamTypes, cborSequence],
};

const servedTo = ({ cbor }: Pick<NegotiationInput, "cbor">, offer: OutputOffer): Served =>
  cbor && offer.cbor !== false ? withCbor : withoutCbor;

export interface OutputOffer {
  /** Which transformations (`as`, `g`, `v`) are served here. Default: none. */
  readonly allows?: (target: GroupVersionKind) => boolean;
  /** Encodings in which a transformation is served, or (`as` absent) the object itself. Default: all. */
  readonly encodes?: (encoding: Encoding, as: GroupVersionKind | undefined) => boolean;
  /** The answer is a watch: its stream types are listed when refused, and YAML cannot be streamed. */
  readonly stream?: boolean;
  /** The route also serves watches: a refusal by the router lists their types too. */
  readonly listsWatch?: boolean;
  /** Whether a router sees to what is accepted at all, before what is served is looked at; what it would refuse is otherwise refused as the serializer does. Default true. */
  readonly routed?: boolean;
  /** Whether there is CBOR where the server speaks it. Default true. */
  readonly cbor?: boolean;
}

export interface NegotiatedOutput {
  readonly encoding: Encoding;
  /** The transformation asked for: Table, PartialObjectMetadata, PartialObjectMetadataList, APIGroupDiscoveryList. */
  readonly as?: GroupVersionKind;
  /** Indented for a person: `pretty=1`, ?pretty=true, or the user agent of a browser, curl or wget. */
  readonly pretty: boolean;
  /** The `profile` parameter of discovery ("" or "nopeer"). */
  readonly profile: string;
}

export interface Clause {
  readonly type: string;
  readonly subtype: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

/** The parts of a request that negotiation reads. */
export interface NegotiationInput {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  /** Where the server speaks CBOR. */
  readonly cbor?: CborCodec | undefined;
}

/** What an answer, whoever has made it, is negotiated by: there is CBOR only where resources answer. */
export function negotiationOf({ request, speaksCbor }: Pick<RequestContext, "request" | "speaksCbor">): NegotiationInput {
  return request.cbor && !speaksCbor ? { headers: request.headers, query: request.query } : request;
}

const plainJson: NegotiatedOutput = { encoding: "json", pretty: false, profile: "" };
const noOffer: OutputOffer = {};

/** How to answer; throws the 406 Status when nothing the client accepts is served. */
export function negotiateOutput(request: NegotiationInput, offer: OutputOffer = noOffer): NegotiatedOutput {
  const accept = request.headers.accept;
  const pretty = wantsPretty(request);
  // The usual case, without parsing.
  if (accept === undefined || accept === "" || accept === "application/json" || accept === "*/*")
    return pretty ? { ...plainJson, pretty } : plainJson;
  const clauses = parseAccept(accept);
  const served = servedTo(request, offer);
  if (offer.routed !== false && !clauses.some((clause) => routable(clause, served, offer))) throw notRoutable(served, offer);
  for (const clause of clauses)
    for (const encoding of served.encodings) {
      const output = match(clause, encoding, offer, pretty);
      if (!output || !(offer.encodes?.(encoding, output.as) ?? true)) continue;
      // What is wanted most decides, though it cannot be streamed.
      if (offer.stream && encoding === "yaml") throw notAcceptable(served.streamTypes);
      return output;
    }
  throw notAcceptable(served.types);
}

/** What any handler may have agreed to: nobody sends tables in protobuf. */
const anyOffer: OutputOffer = {
  allows: ({ group }) => group === "meta.k8s.io" || group === "apidiscovery.k8s.io",
  encodes: (encoding, as) => encoding !== "protobuf" || as?.kind !== "Table",
};

/** The encoding of an answer whose handler has negotiated it, or that is sent whatever the client accepts: JSON where nothing fits. */
export function negotiateLeniently(request: NegotiationInput): NegotiatedOutput {
  return firstAccepted(request, anyOffer) ?? (wantsPretty(request) ? { ...plainJson, pretty: true } : plainJson);
}

/** The encoding of an error, which has no tables: where the client accepts none, it is JSON for a person to read. */
export function negotiateError(request: NegotiationInput): NegotiatedOutput {
  return firstAccepted(request, noOffer) ?? { ...plainJson, pretty: true };
}

/** Whether errors are sent in a form that the client accepts. */
export const acceptsErrors = (request: NegotiationInput): boolean => firstAccepted(request, noOffer) !== undefined;

/** Undefined where the client says what it accepts, and it is nothing that there is. */
function firstAccepted(request: NegotiationInput, offer: OutputOffer): NegotiatedOutput | undefined {
  const accept = request.headers.accept;
  const pretty = wantsPretty(request);
  if (!accept) return pretty ? { ...plainJson, pretty } : plainJson;
  for (const clause of parseAccept(accept))
    for (const encoding of servedTo(request, offer).encodings) {
      const output = match(clause, encoding, offer, pretty);
      if (output && (offer.encodes?.(encoding, output.as) ?? true)) return { encoding, pretty: output.pretty, profile: "" };
    }
  return undefined;
}

/** How the body of a POST, PUT or DELETE is encoded; throws the 415 Status. */
export function negotiateInput({ headers, cbor }: Pick<NegotiationInput, "headers" | "cbor">): Encoding {
  const contentType = headers["content-type"];
  if (contentType === undefined || contentType === "" || contentType === "application/json") return "json";
  const type = parametersAreSound(contentType) ? mediaTypeOf(contentType) : "";
  if (type === mediaTypes.json) return "json";
  if (type === mediaTypes.yaml) return "yaml";
  if (type === mediaTypes.protobuf) return "protobuf";
  if (type === mediaTypes.cbor && cbor) return "cbor";
  throw unknownFormat(servedTo({ cbor }, noOffer).types);
}

/** The 415 of a body, or a patch, that is none of what is accepted. */
export const unknownFormat = (accepted: readonly string[]): StatusError =>
  new StatusError({
    code: 415,
    reason: "UnsupportedMediaType",
    message: `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  });

export type PatchContent = "json" | "merge" | "strategic" | "apply" | "apply in CBOR";

const patchTypes: Readonly<Record<string, PatchContent>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
  "application/apply-patch+cbor": "apply in CBOR",
};

/** The patch a PATCH request carries; undefined where the router takes none such. It compares types letter by letter. */
export function negotiatePatch({ headers, cbor }: Pick<NegotiationInput, "headers" | "cbor">): PatchContent | undefined {
  const patch = patchTypes[headers["content-type"]?.split(";", 1)[0]?.trim() ?? ""];
  return patch === "apply in CBOR" && !cbor ? undefined : patch;
}

/** The router's 415. */
export const notConsumed = (): StatusError =>
  new StatusError({ code: 415, reason: "UnsupportedMediaType", message: "415: Unsupported Media Type", details: {} });

/** Parameters without a value make a Content-Type one that cannot be read. */
function parametersAreSound(contentType: string): boolean {
  const [, ...parameters] = contentType.split(";");
  return parameters.every((parameter) => parameter.trim() === "" || parameter.includes("="));
}

/** The type without its parameters, in lower case. */
export function mediaTypeOf(header: string): string {
  const semicolon = header.indexOf(";");
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}

function match(clause: Clause, encoding: Encoding, offer: OutputOffer, pretty: boolean): NegotiatedOutput | undefined {
  const [type, subtype] = mediaTypes[encoding].split("/");
  const matches =
    clause.type === "*" ? clause.subtype === "*" : clause.type === type && (clause.subtype === "*" || clause.subtype === subtype);
  if (!matches) return undefined;
  const p = clause.parameters;
  const stream = p.get("stream");
  if (stream && (stream !== "watch" || encoding === "yaml")) return undefined;
  if (p.get("sv")) return undefined;
  const profile = p.get("profile") ?? "";
  const prettyHere = pretty || p.get("pretty") === "1";
  if (!p.has("as") && !p.has("g") && !p.has("v")) return { encoding, pretty: prettyHere, profile };
  const as: GroupVersionKind = { kind: p.get("as") ?? "", group: p.get("g") ?? "", version: p.get("v") ?? "" };
  return offer.allows?.(as) ? { encoding, as, pretty: prettyHere, profile } : undefined;
}

function routable(clause: Clause, served: Served, offer: OutputOffer): boolean {
  if (clause.type === "*" && clause.subtype === "*") return true;
  return routedTypes(served, offer).includes(`${clause.type}/${clause.subtype}`);
}

const routedTypes = ({ types, streamTypes }: Served, offer: OutputOffer): readonly string[] =>
  offer.stream || offer.listsWatch ? [...types, ...streamTypes] : types;

const notRoutable = (served: Served, offer: OutputOffer): StatusError => notProduced(routedTypes(served, offer));

/** The router's 406 of a path that produces other types than objects do ("application/jwk-set+json"). */
export function notProduced(produced: readonly string[]): StatusError {
  const message = `406: Not Acceptable\n\nAvailable representations: ${produced.join(", ")}`;
  return new StatusError({ code: 406, reason: "NotAcceptable", message, details: {} });
}

function notAcceptable(accepted: readonly string[]): StatusError {
  const message = `only the following media types are accepted: ${accepted.join(", ")}`;
  return new StatusError({ code: 406, reason: "NotAcceptable", message });
}

export function wantsPretty(request: NegotiationInput): boolean {
  const asked = request.query.size > 0 ? request.query.get("pretty") : null;
  if (asked) return /^(1|t|T|true|TRUE|True)$/.test(asked);
  const agent = request.headers["user-agent"];
  return agent !== undefined && (agent.startsWith("curl") || agent.startsWith("Wget") || agent.startsWith("Mozilla/5.0"));
}

/** What an Accept header asks for, the most wanted first. */
export const acceptedClauses = (header: string): readonly Clause[] => parseAccept(header);

const maxRemembered = 256;
const remembered = new Map<string, readonly Clause[]>();

/** The clauses of an Accept header, the most wanted first. */
function parseAccept(header: string): readonly Clause[] {
  const known = remembered.get(header);
  if (known) return known;
  const clauses = header
    .split(",")
    .map((text) => parseClause(text.trim()))
    .filter((c) => c !== undefined)
    .sort((a, b) => b.quality - a.quality);
  if (remembered.size >= maxRemembered) remembered.clear();
  if (header.length <= 4096) remembered.set(header, clauses);
  return clauses;
}

/** Types are compared letter by letter, as upstream does. */
function parseClause(text: string): Clause | undefined {
  const [range = "", ...rest] = text.split(";");
  const [type = "", subtype] = range.trim().split("/");
  if (type === "" || (subtype === undefined && type !== "*")) return undefined;
  const parameters = new Map<string, string>();
  let quality = 1;
  for (const parameter of rest) {
    const equals = parameter.indexOf("=");
    if (equals < 0) continue;
    const name = parameter.slice(0, equals).trim();
    const value = parameter.slice(equals + 1).trim();
    if (name === "q") quality = Number.isFinite(Number(value)) ? Number(value) : 1;
    else parameters.set(name, value);
  }
  return { type, subtype: subtype ?? "*", parameters, quality };
}

/**
 * For paths that produce media types of their own, whatever their parameters: the one the client wants most. Throws the
 * router's 406 Status.
 */
export function negotiateRaw(request: NegotiationInput, ...produced: readonly [string, ...string[]]): string {
  // The router knows no ranges within a type.
  const found = mostWanted(request, { ranges: false }, ...produced);
  if (found === undefined) throw notProduced(produced);
  return found;
}

/** Of media types without regard to their parameters, the one that the client wants most; undefined where it wants none. */
export function mostWanted(
  request: NegotiationInput,
  { ranges = true }: { readonly ranges?: boolean },
  ...produced: readonly [string, ...string[]]
): string | undefined {
  const accept = request.headers.accept;
  if (accept === undefined || accept === "") return produced[0];
  for (const { type, subtype } of parseAccept(accept)) {
    const found = produced.find(
      (p) => (type === "*" && subtype === "*") || p === `${type}/${subtype}` || (ranges && subtype === "*" && p.startsWith(`${type}/`)),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}
