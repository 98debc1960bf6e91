// Objects as people write them, in YAML or as values: created, applied and looked up by their kind.
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../api/resource-type.ts";
import { builtInResources } from "../api/resources.generated.ts";
import type { Client } from "../client/client.ts";

/** An object of any kind, as it stands in a manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

export interface ManifestClient {
  /** Server-side apply of objects: values, or texts of YAML with any number of documents. */
  apply(...manifests: readonly (Manifest | string)[]): Promise<readonly KubernetesObject[]>;
}

const fieldManager = "coracle-testing";
const defaultNamespace = "default";

export function createManifestClient(client: Client): ManifestClient {
  const apply = async (manifest: Manifest): Promise<KubernetesObject> => {
    const type = typeOf(manifest);
    const { name, namespace = defaultNamespace } = manifest.metadata;
    const at = type.namespaced ? { name, namespace } : { name };
    return await client.patch(type, at, manifest, { type: "apply", fieldManager, force: true });
  };
  return {
    async apply(...manifests) {
      const applied: KubernetesObject[] = [];
      // One after the other: a namespace comes before what is in it.
      for (const manifest of manifests.flatMap(read)) applied.push(await apply(manifest));
      return applied;
    },
  };
}

function read(manifest: Manifest | string): readonly Manifest[] {
  if (typeof manifest !== "string") return [manifest];
  return parseAllDocuments(manifest).flatMap((document) => {
    const [problem] = document.errors;
    if (problem) throw problem;
    const value = document.toJS() as Manifest | null;
    return value ? [value] : [];
  });
}

function typeOf({ apiVersion, kind }: Manifest): ResourceType<KubernetesObject> {
  const found = builtInResources.find((type) => type.kind === kind && apiVersionOf(type) === apiVersion);
  if (!found) throw new Error(`there is no built-in kind ${kind} in ${apiVersion}`);
  return found as ResourceType<KubernetesObject>;
}
