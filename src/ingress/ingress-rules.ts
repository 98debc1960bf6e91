// Ingress objects as routes, and what they want certificates for. Pure. Objects come oldest first, so that a host and path
// that are taken stay with whoever had them.
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import type { Ingress, IngressBackend } from "../api/types/networking-v1.ts";
import { errorText } from "../base/log.ts";
import type { WantedCertificate } from "./certificates.ts";
import type { DefaultRoute, Route, RoutePolicy, Target } from "./routes.ts";

const redirectAnnotation = "ingress.coracle.local/ssl-redirect";
const bodyAnnotation = "ingress.coracle.local/max-body-bytes";

/** What its author has to be told. */
export interface IngressProblem {
  readonly ingress: Ingress;
  readonly reason: string;
  readonly message: string;
}

export interface IngressRules {
  readonly routes: readonly Route[];
  readonly defaults: readonly DefaultRoute[];
  readonly certificates: readonly WantedCertificate<Ingress>[];
  readonly problems: readonly IngressProblem[];
}

/** Oldest first; of the same age by name. */
export function byAge(a: KubernetesObject, b: KubernetesObject): number {
  const [x, y] = [`${a.metadata.creationTimestamp} ${keyOf(a)}`, `${b.metadata.creationTimestamp} ${keyOf(b)}`];
  return x < y ? -1 : x > y ? 1 : 0;
}

export function rulesOf(ingresses: readonly Ingress[]): IngressRules {
  const routes: Route[] = [];
  const defaults: DefaultRoute[] = [];
  const certificates: WantedCertificate<Ingress>[] = [];
  const problems: IngressProblem[] = [];
  for (const ingress of ingresses) {
    try {
      addRules({ routes, defaults, certificates, problems }, ingress);
    } catch (error) {
      // One object that nobody expected does not keep the others from being served.
      problems.push({ ingress, reason: "InvalidIngress", message: `What it says cannot be understood: ${errorText(error)}` });
    }
  }
  return { routes, defaults, certificates, problems };
}

interface Draft {
  readonly routes: Route[];
  readonly defaults: DefaultRoute[];
  readonly certificates: WantedCertificate<Ingress>[];
  readonly problems: IngressProblem[];
}

function addRules({ routes, defaults, certificates, problems }: Draft, ingress: Ingress): void {
  const { spec, metadata } = ingress;
  const policy = policyOf(ingress, problems);
  const targetOf = (backend: IngressBackend): Target => newTarget(ingress, { backend, policy }, problems);
  const fallback = spec?.defaultBackend && targetOf(spec.defaultBackend);
  for (const { host, http } of spec?.rules ?? []) {
    const name = host ? host.toLowerCase() : undefined;
    for (const { path, pathType, backend } of http?.paths ?? [])
      routes.push({ host: name, match: pathType === "Exact" ? "exact" : "prefix", path: path || "/", target: targetOf(backend) });
    if (fallback && name !== undefined) defaults.push({ host: name, target: fallback });
  }
  if (fallback) defaults.push({ host: undefined, target: fallback });
  // Without a secret the hosts are served with the certificate of all.
  for (const { secretName, hosts } of spec?.tls ?? [])
    if (secretName)
      certificates.push({
        owner: ingress,
        secret: `${metadata.namespace}/${secretName}`,
        hosts: (hosts ?? []).map((h) => h.toLowerCase()),
      });
}

function newTarget(
  ingress: Ingress,
  { backend, policy }: { readonly backend: IngressBackend; readonly policy: RoutePolicy },
  problems: IngressProblem[],
): Target {
  const source = keyOf(ingress);
  const { service, resource } = backend;
  const port = service?.port?.number || service?.port?.name;
  if (service && port) return { backend: { namespace: ingress.metadata.namespace, service: service.name, port }, policy, source };
  const what = resource ? `resource ${resource.kind} ${resource.name}` : `service ${service?.name ?? ""} without a port`;
  problems.push({ ingress, reason: "UnsupportedBackend", message: `A backend must be a port of a service, not ${what}` });
  return { backend: undefined, policy, source };
}

function policyOf(ingress: Ingress, problems: IngressProblem[]): RoutePolicy {
  const annotations = ingress.metadata.annotations ?? {};
  const redirectToHttps = annotations[redirectAnnotation] === "true";
  const text = annotations[bodyAnnotation];
  if (text === undefined) return { redirectToHttps };
  const maxBodyBytes = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(maxBodyBytes)) return { redirectToHttps, maxBodyBytes };
  const message = `Annotation ${bodyAnnotation} must be a number of bytes, not ${JSON.stringify(text)}: it has no effect`;
  problems.push({ ingress, reason: "InvalidAnnotation", message });
  return { redirectToHttps };
}
