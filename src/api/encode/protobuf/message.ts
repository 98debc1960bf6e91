// Objects of a schema as protobuf messages. Each type is compiled to closures when first met, from the field numbers and
// protobuf types in the schema tables. What JSON writes into an object but protobuf into a message of its own (a volume's
// source, a probe's action) is written together and read into the object around it. Absent fields are not written: to Go's
// decoders they are zero. Reading gives the plain JSON values that were sent, zeros included; decode.ts then decides, as
// for JSON, which of them the object keeps.
import { WireError, WireReader, WireWriter, wireType } from "../../../base/protobuf/wire.ts";
import { builtInSchemas, type FieldSchema, type ObjectSchema, type ValueType } from "../../schema/schema.ts";
import { decodeObject } from "../decode.ts";
import { embeddedJson, emptyMessage, expectWire, readAll, readMessage, scalarCodecs, type TakeField, type ValueCodec } from "./values.ts";

type Fields = Readonly<Record<string, unknown>>;
type MutableFields = Record<string, unknown>;

/** Messages within messages that are read; upstream has no bound but its stack. */
const maxDepth = 500;

/** The fields of one message: `write` and `read` do what follows for one field number. */
interface Place {
  write(writer: WireWriter, object: Fields): void;
  read(reader: WireReader, wire: number, object: MutableFields, depth: number): void;
}

type Message = ReadonlyMap<number, Place>;

const compiled = new WeakMap<ObjectSchema, Message>();

function messageOf(schema: ObjectSchema): Message {
  let message = compiled.get(schema);
  if (!message) {
    const fields = [...schema.fields.values()].flatMap((field) => locate(schema, field) ?? []);
    message = compile(fields);
    compiled.set(schema, message);
  }
  return message;
}

interface LocatedField {
  readonly field: FieldSchema;
  /** Field numbers from the outer message inwards. */
  readonly path: readonly number[];
  /** "repeated string", "map<string,bytes>". */
  readonly type: string;
}

/** Where a field lies; undefined for apiVersion and kind of an object, which the envelope around it has. */
function locate(schema: ObjectSchema, field: FieldSchema): LocatedField | undefined {
  if (field.proto === undefined) {
    if (field.name === "apiVersion" || field.name === "kind") return undefined;
    throw new Error(`no protobuf field for ${schema.name}.${field.name}`);
  }
  const space = field.proto.indexOf(" ");
  return { field, path: field.proto.slice(0, space).split("/").map(Number), type: field.proto.slice(space + 1) };
}

function compile(fields: readonly LocatedField[]): Message {
  const byNumber = new Map<number, LocatedField[]>();
  for (const { path, ...field } of fields) {
    const [number = 0, ...inner] = path;
    byNumber.set(number, [...(byNumber.get(number) ?? []), { ...field, path: inner }]);
  }
  const places = [...byNumber].sort(([a], [b]) => a - b);
  return new Map(places.map(([number, within]) => [number, placeOf(number, within)]));
}

function placeOf(number: number, within: readonly LocatedField[]): Place {
  const [only] = within;
  if (only?.path.length !== 0) return embeddedMessage(number, compile(within));
  const { field, type } = only;
  if (field.type.kind === "map") return mapField(number, field.name, mapValue(field.type.values, type));
  if (field.type.kind === "array" && type.startsWith("repeated "))
    return repeatedField(number, field.name, valueCodec(field.type.items, type.slice("repeated ".length)));
  return singleField(number, field.name, valueCodec(field.type, type));
}

const mapValue = (values: ValueType, type: string): ValueCodec => valueCodec(values, type.slice(type.indexOf(",") + 1, -1));

function writeFields(writer: WireWriter, message: Message, object: Fields): void {
  for (const place of message.values()) place.write(writer, object);
}

function readFields(reader: WireReader, message: Message, object: MutableFields, depth: number): void {
  if (depth > maxDepth) throw new WireError(`more than ${maxDepth} messages within each other`);
  readMessage(reader, taking(reader, message, object, depth));
}

function taking(reader: WireReader, message: Message, object: MutableFields, depth: number): TakeField {
  return (number, wire) => {
    const place = message.get(number);
    place?.read(reader, wire, object, depth);
    return place !== undefined;
  };
}

function embeddedMessage(number: number, message: Message): Place {
  return {
    write(writer, object) {
      writer.tag(number, wireType.delimited);
      writer.delimited(() => writeFields(writer, message, object));
    },
    read(reader, wire, object, depth) {
      expectWire(wire, wireType.delimited, String(number));
      readFields(reader, message, object, depth + 1);
    },
  };
}

function singleField(number: number, name: string, codec: ValueCodec): Place {
  return {
    write(writer, object) {
      const value = object[name];
      if (value === undefined || value === null) return;
      writer.tag(number, codec.wire);
      codec.write(writer, value);
    },
    read(reader, wire, object, depth) {
      expectWire(wire, codec.wire, name);
      object[name] = codec.read(reader, depth);
    },
  };
}

function repeatedField(number: number, name: string, codec: ValueCodec): Place {
  return {
    write(writer, object) {
      for (const value of (object[name] ?? []) as readonly unknown[]) {
        writer.tag(number, codec.wire);
        codec.write(writer, value);
      }
    },
    read(reader, wire, object, depth) {
      const values = (object[name] ??= []) as unknown[];
      // Numbers may come packed into one field.
      if (wire === wireType.delimited && codec.wire !== wireType.delimited)
        return reader.delimited(() => void values.push(codec.read(reader, depth)));
      expectWire(wire, codec.wire, name);
      values.push(codec.read(reader, depth));
    },
  };
}

function mapField(number: number, name: string, codec: ValueCodec): Place {
  return {
    write(writer, object) {
      const map = (object[name] ?? {}) as Fields;
      for (const key of Object.keys(map).sort()) {
        writer.tag(number, wireType.delimited);
        writer.delimited(() => {
          writer.tag(1, wireType.delimited);
          writer.string(key);
          writer.tag(2, codec.wire);
          codec.write(writer, map[key]);
        });
      }
    },
    read(reader, wire, object, depth) {
      expectWire(wire, wireType.delimited, name);
      let key = "";
      let value = codec.zero;
      readMessage(reader, (field, entryWire) => {
        if (field !== 1 && field !== 2) return false;
        expectWire(entryWire, field === 1 ? wireType.delimited : codec.wire, name);
        if (field === 1) key = reader.string();
        else value = codec.read(reader, depth);
        return true;
      });
      // Defined, not assigned: a key may be "__proto__".
      Object.defineProperty((object[name] ??= {}), key, { value, enumerable: true, configurable: true, writable: true });
    },
  };
}

/** The codec of a value, from its JSON type and, where that leaves it open, its protobuf type. */
function valueCodec(type: ValueType, protoType: string): ValueCodec {
  switch (type.kind) {
    case "object":
      return messageCodec(() => type.schema);
    case "array":
      return listMessage(valueCodec(type.items, "string"));
    case "map":
      throw new Error(`${protoType} is a map where protobuf has none`);
    case "any":
      return openCodec(protoType);
    default:
      return scalarCodecs[type.kind];
  }
}

function messageCodec(schema: () => ObjectSchema): ValueCodec {
  return {
    wire: wireType.delimited,
    zero: {},
    write(writer, value) {
      if (typeof value !== "object" || value === null) throw new WireError(`expected an object, got ${typeof value}`);
      writer.delimited(() => writeFields(writer, messageOf(schema()), value as Fields));
    },
    read(reader, depth) {
      const object: MutableFields = {};
      readFields(reader, messageOf(schema()), object, depth + 1);
      return object;
    },
  };
}

/** A list that protobuf keeps in a message of its own: ExtraValue, Verbs. */
function listMessage(items: ValueCodec): ValueCodec {
  const place = repeatedField(1, "items", items);
  const message: Message = new Map([[1, place]]);
  return {
    wire: wireType.delimited,
    zero: [],
    write: (writer, value) => writer.delimited(() => writeFields(writer, message, { items: value })),
    read(reader, depth) {
      const object: MutableFields = { items: [] };
      readFields(reader, message, object, depth + 1);
      return object.items;
    },
  };
}

function openCodec(protoType: string): ValueCodec {
  switch (protoType) {
    case "runtime.RawExtension":
    case "meta-v1.FieldsV1":
    case "apiextensions-v1.JSON":
      return embeddedJson;
    case "apiextensions-v1.CustomResourceSubresourceStatus":
      return emptyMessage;
    case "apiextensions-v1.JSONSchemaPropsOrBool":
      return schemaOr(1, "boolean");
    case "apiextensions-v1.JSONSchemaPropsOrArray":
      return schemaOr(2, "schemas");
    case "apiextensions-v1.JSONSchemaPropsOrStringArray":
      return schemaOr(2, "strings");
    default:
      throw new Error(`no JSON form is known of protobuf type ${protoType}`);
  }
}

/** A JSON schema, or what stands in its place: a boolean, schemas or strings, in protobuf's field `other`. */
function schemaOr(other: number, alternative: "boolean" | "schemas" | "strings"): ValueCodec {
  const schema = messageCodec(jsonSchema);
  const schemaNumber = other === 1 ? 2 : 1;
  const single = singleField(schemaNumber, "schema", schema);
  const alternatives = {
    boolean: () => singleField(other, "other", scalarCodecs.boolean),
    schemas: () => repeatedField(other, "other", schema),
    strings: () => repeatedField(other, "other", scalarCodecs.string),
  };
  const message: Message = new Map([
    [schemaNumber, single],
    [other, alternatives[alternative]()],
  ]);
  const isOther = (value: unknown): boolean => (alternative === "boolean" ? typeof value === "boolean" : Array.isArray(value));
  return {
    wire: wireType.delimited,
    zero: null,
    write(writer, value) {
      // A schema in place of a boolean says as much as true.
      const parts = isOther(value) ? { other: value } : { schema: value, ...(alternative === "boolean" ? { other: true } : {}) };
      writer.delimited(() => writeFields(writer, message, parts));
    },
    read(reader, depth) {
      const parts: MutableFields = {};
      readFields(reader, message, parts, depth + 1);
      if (alternative === "boolean") return parts.schema === undefined ? (parts.other ?? false) : tidy(parts.schema);
      if (parts.other === undefined) return parts.schema === undefined ? null : tidy(parts.schema);
      return alternative === "schemas" ? (parts.other as unknown[]).map(tidy) : parts.other;
    },
  };
}

const jsonSchema = (): ObjectSchema => builtInSchemas.get("apiextensions-v1.JSONSchemaProps");

/** Without the zeros that Go's encoder writes: the decoding of the whole object does not look into open values. */
const tidy = (value: unknown): unknown => decodeObject(jsonSchema(), value).object;

/** An object of the schema as a protobuf message, without its kind and apiVersion. */
export function encodeMessage(schema: ObjectSchema, object: unknown): Uint8Array {
  const writer = new WireWriter();
  writeFields(writer, messageOf(schema), object as Fields);
  return writer.finish();
}

/** What a message says, as values for decodeObject. Throws a WireError for bytes that are no such message. */
export function decodeMessage(schema: ObjectSchema, bytes: Uint8Array): Record<string, unknown> {
  const object: MutableFields = {};
  const reader = new WireReader(bytes);
  readAll(reader, taking(reader, messageOf(schema), object, 1));
  return object;
}
