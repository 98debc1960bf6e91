// PodNodeSelector: pods go to the nodes of their namespace, by an annotation of the namespace or the cluster's default; and a
// namespace may be limited to certain labels by the configuration.

import type { ConfigFields } from "../../api/encode/config-fields.ts";
import { forbidden, internalError, isStatus, StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Namespace, Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { findNamespace, type NamespaceDependencies } from "./find-namespace.ts";
import { isAbout } from "./refusal.ts";

/** Selectors as text, "a=b,c=d": by namespace what its pods may ask for, and under "clusterDefaultNodeSelector" the default. */
export type PodNodeSelectorSettings = ReadonlyMap<string, string>;

const annotation = "scheduler.alpha.kubernetes.io/node-selector";
const defaultKey = "clusterDefaultNodeSelector";

type Labels = Readonly<Record<string, string>>;

/** Throws ConfigError. */
export function podNodeSelectorSettings(root: ConfigFields): PodNodeSelectorSettings {
  const selectors = root.object("podNodeSelectorPluginConfig");
  root.end();
  return new Map(selectors?.names().map((name) => [name, selectors.text(name) ?? ""]));
}

export function createPodNodeSelector(deps: NamespaceDependencies, settings: PodNodeSelectorSettings = new Map()): AdmissionPlugin {
  const check = (pod: Pod, namespace: string, required: Labels): void => {
    const { name = "" } = pod.metadata;
    const wanted = pod.spec?.nodeSelector ?? {};
    if (conflict(required, wanted)) throw forbidden(pods, name, "pod node label selector conflicts with its namespace node label selector");
    const allowed = parseSelector(settings.get(namespace) ?? "");
    if (Object.keys(allowed).length > 0 && Object.entries(wanted).some(([key, value]) => allowed[key] !== value))
      throw forbidden(pods, name, "pod node label selector labels conflict with its namespace whitelist");
  };
  const requiredIn = async (name: string): Promise<Labels> => {
    const namespace = await namespaceOf(deps, name);
    return parseSelector(namespace.metadata.annotations?.[annotation] ?? settings.get(defaultKey) ?? "");
  };
  return {
    name: "PodNodeSelector",
    only: [pods],
    handles: (request) => request.operation === "CREATE" && isAbout(request, pods),
    async admit(request) {
      const pod = request.object as Pod;
      const required = await requiredIn(request.namespace);
      check({ ...pod, spec: { ...pod.spec, nodeSelector: pod.spec?.nodeSelector ?? {} } }, request.namespace, required);
      if (Object.keys(required).length === 0) return pod;
      const selected = { ...pod, spec: { ...pod.spec, nodeSelector: { ...required, ...pod.spec?.nodeSelector } } };
      check(selected, request.namespace, required);
      return selected;
    },
    async validate(request) {
      check(request.object as Pod, request.namespace, await requiredIn(request.namespace));
    },
  };
}

async function namespaceOf(deps: NamespaceDependencies, name: string): Promise<Namespace> {
  try {
    return await findNamespace(deps, name);
  } catch (error) {
    throw isStatus(error, "NotFound") ? internalError(new Error(`namespace ${name} does not exist`)) : error;
  }
}

const conflict = (a: Labels, b: Labels): boolean => Object.entries(a).some(([key, value]) => b[key] !== undefined && b[key] !== value);

/** Equalities only. Throws 500, as upstream. */
function parseSelector(text: string): Labels {
  if (text === "") return {};
  const entries = text.split(",").map((requirement) => {
    const parts = requirement.split("=");
    const [key = "", value = ""] = parts;
    if (parts.length !== 2) throw new StatusError({ code: 500, message: `invalid selector: [${parts.join(" ")}]` });
    return [key.trim(), value.trim()] as const;
  });
  return Object.fromEntries(entries);
}
