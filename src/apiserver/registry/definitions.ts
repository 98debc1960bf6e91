// The built-in resources this server serves: those described by a file in resources/, and for all others the plain
// definition. Adding a kind with rules of its own is adding its definition to one of those files.
import type { ResourceType } from "../../api/resource-type.ts";
import { builtInResources, namespaces } from "../../api/resources.generated.ts";
import { withNamespaceLifecycle } from "./namespace-lifecycle.ts";
import { plainResource } from "./plain-resource.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/**
 * A definition of resources of any kind. Strategies take their own kind's objects, so definitions of different kinds have
 * no common type but this one; the registry hands each only objects of its kind.
 */
// biome-ignore lint/suspicious/noExplicitAny: the one place where definitions of all kinds meet
export type AnyDefinition = ResourceDefinition<any>;

/** One definition for each built-in resource, in discovery order. `described` are those with rules of their own (resources/all.ts). */
export function builtInDefinitions(described: readonly AnyDefinition[]): readonly ResourceDefinition[] {
  const byType = new Map<ResourceType, AnyDefinition>(described.map((definition) => [definition.type, definition]));
  byType.set(namespaces, withNamespaceLifecycle(byType.get(namespaces) ?? plainResource(namespaces)));
  return builtInResources.map((type) => byType.get(type) ?? plainResource(type as Parameters<typeof plainResource>[0]));
}
