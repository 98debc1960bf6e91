// Roles and bindings. Unlike other objects they may have any name that can be a segment of a path: "system:discovery".
import { isPathSegmentName, isPathSegmentPrefix } from "../../../api/meta/names.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { ResourceType } from "../../../api/resource-type.ts";
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../../api/resources.generated.ts";
import { plainResource } from "../plain-resource.ts";
import type { ResourceDefinition } from "../resource-definition.ts";

const policyTypes = [clusterroles, clusterrolebindings, roles, rolebindings] as readonly ResourceType<KubernetesObject>[];

export const rbacDefinitions: readonly ResourceDefinition[] = policyTypes.map((type) => ({
  ...plainResource(type),
  validateName: (name, prefix) => (prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name)),
}));
