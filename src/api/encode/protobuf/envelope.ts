// The encoding application/vnd.kubernetes.protobuf: a magic prefix, then a message that names the kind (runtime.Unknown)
// around the object's own message; and the events of a watch, whose frames have no prefix but whose objects do. Kinds of
// the built-in API and metadata-only objects have it; custom resources and tables do not.
import { WireError, WireReader, WireWriter, wireType } from "../../../base/protobuf/wire.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../schema/schema.ts";
import type { Status } from "../../types/meta-v1.ts";
import { encodeMessage } from "./message.ts";
import { expectWire, readAll } from "./values.ts";

/** "k8s" and a zero byte. */
const prefix = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);

export interface TypeMeta {
  readonly apiVersion: string;
  readonly kind: string;
}

/** What is around an object: its kind as the sender names it ("" where not at all), and its message. */
export interface Envelope extends TypeMeta {
  readonly message: Uint8Array;
}

/** Whether it begins as one does. */
export const startsEnvelope = (bytes: Uint8Array): boolean => prefix.every((byte, i) => bytes[i] === byte);

/** Throws a WireError with upstream's words for what is no envelope. */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length === 0) throw new WireError("empty data");
  if (!startsEnvelope(bytes))
    throw new WireError(`provided data does not appear to be a protobuf message, expected prefix [${prefix.join(" ")}]`);
  if (bytes.length === prefix.length) throw new WireError("empty body");
  let type: TypeMeta = { apiVersion: "", kind: "" };
  let message: Uint8Array = new Uint8Array();
  readDelimited(bytes.subarray(prefix.length), (number, content) => {
    if (number === 1) type = readTypeMeta(content);
    else if (number === 2) message = content;
  });
  return { ...type, message };
}

function readTypeMeta(bytes: Uint8Array): TypeMeta {
  let type: TypeMeta = { apiVersion: "", kind: "" };
  readDelimited(bytes, (number, content) => {
    if (number === 1) type = { ...type, apiVersion: utf8.decode(content) };
    else if (number === 2) type = { ...type, kind: utf8.decode(content) };
  });
  return type;
}

const utf8 = new TextDecoder();
const envelopeFields = ["", "typeMeta", "raw", "contentEncoding", "contentType"];

/** Calls `field` with the length-delimited fields 1 to 4; others are skipped. */
function readDelimited(bytes: Uint8Array, field: (number: number, content: Uint8Array) => void): void {
  const reader = new WireReader(bytes);
  readAll(reader, (number, wire) => {
    if (number >= envelopeFields.length) return false;
    expectWire(wire, wireType.delimited, envelopeFields[number] ?? "");
    field(number, reader.bytes());
    return true;
  });
}

/** The parts of an encoding that lie before and after a message of a length. */
interface Wrapping {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

const heads = new Map<string, Uint8Array>();
const maxHeads = 1024;
const tail = Uint8Array.of(0x1a, 0x00, 0x22, 0x00); // contentEncoding "" and contentType ""

/** What lies around a message of a length in its envelope. */
export function envelopeAround({ apiVersion, kind }: TypeMeta, messageBytes: number): Wrapping {
  const name = `${apiVersion}/${kind}`;
  let head = heads.get(name);
  if (!head) {
    const writer = new WireWriter();
    writer.tag(1, wireType.delimited);
    writer.delimited(() => {
      writer.tag(1, wireType.delimited);
      writer.string(apiVersion);
      writer.tag(2, wireType.delimited);
      writer.string(kind);
    });
    writer.tag(2, wireType.delimited);
    head = join(prefix, writer.finish());
    if (heads.size >= maxHeads) heads.clear();
    heads.set(name, head);
  }
  return { before: join(head, varint(messageBytes)), after: tail };
}

function varint(value: number): Uint8Array {
  const writer = new WireWriter();
  writer.uint32(value);
  return writer.finish();
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A message with its envelope. */
export function wrapMessage(type: TypeMeta, message: Uint8Array): Uint8Array {
  const { before, after } = envelopeAround(type, message.length);
  return join(before, message, after);
}

/** The schema of a kind that has a protobuf encoding. */
export function protobufSchema({ apiVersion, kind }: TypeMeta): ObjectSchema | undefined {
  if (apiVersion === "meta.k8s.io/v1" || apiVersion === "meta.k8s.io/v1beta1") return metadataOnly(kind);
  return schemaOfKind(apiVersion, kind);
}

let partial: ObjectSchema | undefined;
let partialList: ObjectSchema | undefined;

/** PartialObjectMetadata and its list, which the tables do not have: no resource is of these kinds. */
function metadataOnly(kind: string): ObjectSchema | undefined {
  partial ??= withMetadata("PartialObjectMetadata", "ObjectMeta");
  if (kind === partial.name) return partial;
  partialList ??= withMetadata("PartialObjectMetadataList", "ListMeta", partial);
  return kind === partialList.name ? partialList : undefined;
}

function withMetadata(name: string, metadata: string, items?: ObjectSchema): ObjectSchema {
  const type = `meta-v1.${metadata}`;
  const fields: ObjectSchema["fields"] = new Map([
    [
      "metadata",
      { name: "metadata", required: false, type: { kind: "object", schema: builtInSchemas.get(type) }, proto: `1 ${type}` },
    ] as const,
    ...(items
      ? [
          [
            "items",
            { name: "items", required: true, type: { kind: "array", items: { kind: "object", schema: items } }, proto: "2 repeated item" },
          ] as const,
        ]
      : []),
  ]);
  return { name, fields, kinds: [] };
}

/** An object in its envelope (`known` gives it where it exists already); undefined for kinds that have no protobuf encoding. */
export function encodeProtobuf(object: unknown, known?: () => Uint8Array): Uint8Array | undefined {
  const { apiVersion = "", kind = "" } = (object ?? {}) as Partial<TypeMeta>;
  // Discovery documents name a kind of v1 without its version.
  const schema = protobufSchema({ apiVersion: apiVersion === "" ? "v1" : apiVersion, kind });
  return (
    schema &&
    (known?.() ?? wrapMessage({ apiVersion, kind }, encodeMessage(schema, kind === "Status" ? withZeros(object as Status) : object)))
  );
}

/** A Status with what Go writes of it though it is not said, so that its bytes are upstream's. */
function withZeros({ metadata, details, ...status }: Status): unknown {
  return {
    metadata: { selfLink: "", resourceVersion: "", continue: "", ...metadata },
    ...{ status: "", message: "", reason: "", code: 0 },
    ...status,
    ...(details ? { details: { name: "", group: "", kind: "", uid: "", retryAfterSeconds: 0, ...details } } : {}),
  };
}

/** The head of a list: its metadata. The items follow, each `listItemHead` and a message. */
export function encodeListMetadata(metadata: unknown): Uint8Array {
  const message = encodeMessage(builtInSchemas.get("meta-v1.ListMeta"), metadata);
  return join(Uint8Array.of(fieldTag(1)), varint(message.length), message);
}

/** What goes before an item of a list: the tag of field 2 and the item's length. */
export function listItemHead(messageBytes: number): Uint8Array {
  return join(Uint8Array.of(fieldTag(2)), varint(messageBytes));
}

const fieldTag = (number: number): number => (number << 3) | wireType.delimited;

const utf8Encoder = new TextEncoder();

/** What lies around an object's message in an event of a watch: a meta.v1.WatchEvent and, within it, the envelope. */
export function watchEventAround(eventType: string, type: TypeMeta, messageBytes: number): Wrapping {
  const envelope = envelopeAround(type, messageBytes);
  const envelopeBytes = envelope.before.length + messageBytes + envelope.after.length;
  const raw = join(Uint8Array.of(fieldTag(1)), varint(envelopeBytes));
  const name = utf8Encoder.encode(eventType);
  const event = join(Uint8Array.of(fieldTag(1), name.length), name, Uint8Array.of(fieldTag(2)), varint(raw.length + envelopeBytes));
  return { before: join(event, raw, envelope.before), after: envelope.after };
}
