// The parts of OpenAPI documents that custom resources bring. There may be thousands of them, so documents are put together
// from the bytes of their parts, one resource after another, and other work gets its turn in between.
import type { ResourceType } from "../../api/resource-type.ts";
import { customModels } from "./custom-models.ts";
import { encodeDocumentV2 } from "./document-v2-protobuf.ts";
import { type DocumentContext, pathItemV2, pathItemV3, schemaContext, typesIn } from "./documents.ts";
import { isCustomTypeName, modelName } from "./names.ts";
import { customPathsOf, type OperationPath } from "./operations.ts";
import { type Model, modelsOf, type OpenApiVersion } from "./schemas.ts";
import { SharedParameters } from "./shared-parameters.ts";

/** What one custom resource adds to a document. */
export interface DocumentPart {
  readonly paths: Model;
  /** By model name. */
  readonly models: Record<string, Model>;
  /** Built-in types that are referred to. */
  readonly types: ReadonlySet<string>;
}

/** Resources worked on before others get their turn. */
const atATime = 2;

const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Makes the parts of single resources; undefined for what is built in. */
function partMaker(version: OpenApiVersion, context: DocumentContext): (type: ResourceType) => DocumentPart | undefined {
  const schemas = schemaContext(version, context);
  // All that custom resources refer to stands in the document of built-in ones already.
  const shared = new SharedParameters(context.descriptions);
  const item = (path: OperationPath): Model => (version === 3 ? pathItemV3(path, context.descriptions) : pathItemV2(path, shared));
  return (type) => {
    const published = context.publishedOf(type);
    if (!published) return undefined;
    const paths = customPathsOf(type);
    const models = Object.entries(customModels(type, published, schemas)).map(([name, model]) => [modelName(name), model] as const);
    const referred = new Set(["meta-v1.ObjectMeta", "meta-v1.ListMeta"]);
    for (const name of typesIn(paths)) if (!isCustomTypeName(name)) referred.add(name);
    return { paths: Object.fromEntries(paths.map((path) => [path.path, item(path)])), models: Object.fromEntries(models), types: referred };
  };
}

/** A v3 document of some custom resources. */
export async function customDocumentV3(types: readonly ResourceType[], context: DocumentContext): Promise<Uint8Array> {
  const paths = new Members();
  const models = new Members();
  const referred = new Set<string>();
  const partOf = partMaker(3, context);
  for (const [i, type] of types.entries()) {
    if (i % atATime === atATime - 1) await othersTurn();
    const part = partOf(type);
    if (!part) continue;
    paths.add(part.paths);
    models.add(part.models);
    for (const type of part.types) referred.add(type);
  }
  models.add(modelsOf(referred, { ...schemaContext(3, context), own: "custom" }));
  const head = '{"openapi":"3.0.0","info":{"title":"Kubernetes CRD Swagger","version":"v0.1.0"},"paths":{';
  return Buffer.concat([
    Buffer.from(head),
    ...paths.bytes,
    Buffer.from('},"components":{"schemas":{'),
    ...models.bytes,
    Buffer.from("}}}"),
  ]);
}

/** Turns a part into bytes; there may be several that stand apart. */
type PartEncoder = (part: DocumentPart) => readonly Uint8Array[];

/**
 * What custom resources add to the v2 document, in one encoding. It is the document of all of them, so a part is made once and
 * kept as long as its resource is served: a definition that comes or goes costs its own part, and the copying of the others.
 */
class PartsV2 {
  readonly #encode: PartEncoder;
  readonly #kept = new WeakMap<ResourceType, readonly Uint8Array[]>();

  constructor(encode: PartEncoder) {
    this.#encode = encode;
  }

  /** The bytes of each resource. */
  async of(types: readonly ResourceType[], context: DocumentContext): Promise<Map<ResourceType, readonly Uint8Array[]>> {
    const partOf = partMaker(2, context);
    const parts = new Map<ResourceType, readonly Uint8Array[]>();
    let made = 0;
    for (const type of types) {
      let encoded = this.#kept.get(type);
      if (!encoded) {
        if (++made % atATime === 0) await othersTurn();
        const part = partOf(type);
        encoded = part ? this.#encode(part) : [];
        this.#kept.set(type, encoded);
      }
      parts.set(type, encoded);
    }
    return parts;
  }

  /** All bytes in their order. From now on the parts are held as places in the document, not a second time. */
  join(bytes: readonly Uint8Array[], parts: ReadonlyMap<ResourceType, readonly Uint8Array[]>): Uint8Array {
    const document = Buffer.concat(bytes);
    const places = new Map<Uint8Array, Uint8Array>();
    let at = 0;
    for (const piece of bytes) places.set(piece, document.subarray(at, (at += piece.length)));
    for (const [type, pieces] of parts) {
      const placed = pieces.map((piece) => places.get(piece) ?? piece);
      if (this.#kept.get(type) === pieces) this.#kept.set(type, placed);
    }
    return document;
  }
}

/** Members of a JSON object that stand after others. */
const furtherMembers = (object: object): Uint8Array => {
  const text = JSON.stringify(object).slice(1, -1);
  return Buffer.from(text === "" ? "" : `,${text}`);
};

const membersOf = (object: object): Uint8Array => Buffer.from(JSON.stringify(object).slice(1, -1));

/** Makes the v2 document of everything: the one of built-in resources, and what custom ones add. */
export interface DocumentsV2 {
  json(builtIn: object, types: readonly ResourceType[], context: DocumentContext): Promise<Uint8Array>;
  protobuf(builtIn: object, types: readonly ResourceType[], context: DocumentContext): Promise<Uint8Array>;
}

export function createDocumentsV2(): DocumentsV2 {
  const json = new PartsV2(({ paths, models }) => [furtherMembers(paths), furtherMembers(models)]);
  // A message that is the bytes of several ones after another has the members of all of them.
  const protobuf = new PartsV2(({ paths, models }) => [encodeDocumentV2({ paths, definitions: models })]);
  return {
    async json(builtIn, types, context) {
      // There is no document without paths and definitions: that of the server's version is always there.
      const { paths, definitions, ...rest } = builtIn as { readonly paths: Model; readonly definitions: Model };
      const parts = await json.of(types, context);
      const pieces: Uint8Array[] = [Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"paths":{`), membersOf(paths)];
      for (const [ofPaths] of parts.values()) if (ofPaths) pieces.push(ofPaths);
      pieces.push(Buffer.from('},"definitions":{'), membersOf(definitions));
      for (const [, ofModels] of parts.values()) if (ofModels) pieces.push(ofModels);
      return json.join([...pieces, Buffer.from("}}")], parts);
    },
    async protobuf(builtIn, types, context) {
      const parts = await protobuf.of(types, context);
      return protobuf.join([encodeDocumentV2(builtIn), ...[...parts.values()].flat()], parts);
    },
  };
}

/** The members of a JSON object that is longer than what is held at once. */
class Members {
  readonly bytes: Uint8Array[] = [];

  add(object: object): void {
    const text = JSON.stringify(object).slice(1, -1);
    if (text !== "") this.bytes.push(Buffer.from(this.bytes.length > 0 ? `,${text}` : text));
  }
}
