// validatingadmissionpolicy-status-controller: writes into the status of each ValidatingAdmissionPolicy, once for each of its
// generations, what its expressions would be told if the objects it is for had the types they have. Nothing depends on the
// warnings: a policy is in force without them. The engine of expressions is loaded with the first policy.
import type { KnownKinds } from "../api/cel/type-check.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { GroupVersionKind, ResourceType } from "../api/resource-type.ts";
import { builtInResources, customresourcedefinitions, validatingadmissionpolicies } from "../api/resources.generated.ts";
import type { ExpressionWarning, ValidatingAdmissionPolicy } from "../api/types/admissionregistration-v1.ts";
import type { CustomResourceDefinition } from "../api/types/apiextensions-v1.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";

const fieldManager = "validatingadmissionpolicy-status-controller";

const isChecked = ({ metadata, status }: ValidatingAdmissionPolicy): boolean =>
  (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0);

export const policyStatusController: Controller = {
  name: "validatingadmissionpolicy-status-controller",
  create(context) {
    const policyInformer = context.informers.informer(validatingadmissionpolicies);
    const definitionInformer = context.informers.informer(customresourcedefinitions);
    return {
      watches: [watch(policyInformer, (policy) => (isChecked(policy) ? [] : [policy.metadata.name]))],
      async reconcile(name, { signal }) {
        const policy = policyInformer.get(name);
        if (!policy || isChecked(policy)) return undefined;
        const { checkPolicyTypes } = await import("../api/cel/type-check.ts");
        const warnings = checkPolicyTypes(policy, await knownKinds([...definitionInformer.list()]));
        await writeWarnings(context, policy, { warnings, signal });
        return undefined;
      },
    };
  },
};

/** Built-in kinds, and those of definitions as far as their schemas say. */
async function knownKinds(definitions: readonly CustomResourceDefinition[]): Promise<KnownKinds> {
  const [{ builtInType, metadataType }, { schemaType }] = await Promise.all([
    import("../api/cel/built-in-type.ts"),
    import("../api/cel/schema-type.ts"),
  ]);
  const servedVersion = (group: string, version: string) =>
    definitions.flatMap(({ spec }) =>
      group === "" || spec.group === group
        ? spec.versions.flatMap(({ name, served, schema }) =>
            name === version && served ? [{ group: spec.group, names: spec.names, schema }] : [],
          )
        : [],
    );
  return {
    // As upstream's mapper looks for them: no group is any group, and the singular names a resource as well.
    kindsOf({ group, version, resource }) {
      const isMeant = (type: ResourceType): boolean =>
        (group === "" || type.group === group) && type.version === version && (type.resource === resource || type.singular === resource);
      const builtIn = builtInResources.filter(isMeant).map((type) => ({ group: type.group, version, kind: type.kind }));
      const custom = servedVersion(group, version).flatMap(({ names, ...of }) =>
        names.plural === resource || (names.singular ?? names.kind.toLowerCase()) === resource
          ? [{ group: of.group, version, kind: names.kind }]
          : [],
      );
      return [...builtIn, ...custom];
    },
    typeOf(kind: GroupVersionKind) {
      const known = builtInType(kind);
      if (known) return known;
      const found = servedVersion(kind.group, kind.version).find(({ names }) => names.kind === kind.kind);
      const schema = found?.schema?.openAPIV3Schema;
      const type = schema && schemaType(schema, { name: kind.kind, isResource: true })?.type;
      const metadata = metadataType(`${kind.kind}.metadata`);
      if (type?.kind !== "object" || !metadata) return type;
      // What a definition says of metadata is not published.
      return { ...type, field: (name) => (name === "metadata" ? { type: metadata } : type.field(name)) };
    },
  };
}

async function writeWarnings(
  { client }: ControllerContext,
  { apiVersion, kind, metadata }: ValidatingAdmissionPolicy,
  { warnings, signal }: { readonly warnings: readonly ExpressionWarning[]; readonly signal: AbortSignal },
): Promise<void> {
  const { name, generation } = metadata;
  const typeChecking = warnings.length === 0 ? {} : { expressionWarnings: warnings };
  const applied = { apiVersion, kind, metadata: { name }, status: { observedGeneration: generation, typeChecking } };
  try {
    await client.patch(validatingadmissionpolicies, { name }, applied, {
      type: "apply",
      subresource: "status",
      fieldManager,
      force: true,
      signal,
    });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}
