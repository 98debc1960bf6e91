// The parts of OpenAPI documents that custom resources bring. There may be thousands of them, so documents are put together
// from the bytes of their parts, one resource after another, and other work gets its turn in between.
import type { ResourceType } from "../../api/resource-type.ts";
import { customModels } from "./custom-models.ts";
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

export async function* documentParts(
  types: readonly ResourceType[],
  version: OpenApiVersion,
  context: DocumentContext,
): AsyncGenerator<DocumentPart, void, void> {
  const schemas = schemaContext(version, context);
  // All that custom resources refer to stands in the document of built-in ones already.
  const shared = new SharedParameters(context.descriptions);
  const item = (path: OperationPath): Model => (version === 3 ? pathItemV3(path, context.descriptions) : pathItemV2(path, shared));
  for (const [i, type] of types.entries()) {
    if (i % atATime === atATime - 1) await new Promise<void>((resolve) => setImmediate(resolve));
    const published = context.publishedOf(type);
    if (!published) continue;
    const paths = customPathsOf(type);
    const models = Object.entries(customModels(type, published, schemas)).map(([name, model]) => [modelName(name), model] as const);
    const referred = new Set(["meta-v1.ObjectMeta", "meta-v1.ListMeta"]);
    for (const name of typesIn(paths)) if (!isCustomTypeName(name)) referred.add(name);
    yield {
      paths: Object.fromEntries(paths.map((path) => [path.path, item(path)])),
      models: Object.fromEntries(models),
      types: referred,
    };
  }
}

/** A v3 document of some custom resources. */
export async function customDocumentV3(types: readonly ResourceType[], context: DocumentContext): Promise<Uint8Array> {
  const paths = new Members();
  const models = new Members();
  const referred = new Set<string>();
  for await (const part of documentParts(types, 3, context)) {
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

/** The v2 document of everything in JSON: the one of built-in resources, and what custom ones add. */
export async function jsonV2(builtIn: object, types: readonly ResourceType[], context: DocumentContext): Promise<Uint8Array> {
  const { paths: builtInPaths, definitions, ...rest } = builtIn as { readonly paths: Model; readonly definitions: Model };
  const paths = new Members();
  const models = new Members();
  paths.add(builtInPaths);
  models.add(definitions);
  for await (const part of documentParts(types, 2, context)) {
    paths.add(part.paths);
    models.add(part.models);
  }
  const head = JSON.stringify(rest).slice(0, -1);
  return Buffer.concat([
    Buffer.from(`${head},"paths":{`),
    ...paths.bytes,
    Buffer.from('},"definitions":{'),
    ...models.bytes,
    Buffer.from("}}"),
  ]);
}

/** The members of a JSON object that is longer than what is held at once. */
class Members {
  readonly bytes: Uint8Array[] = [];

  add(object: object): void {
    const text = JSON.stringify(object).slice(1, -1);
    if (text !== "") this.bytes.push(Buffer.from(this.bytes.length > 0 ? `,${text}` : text));
  }
}
