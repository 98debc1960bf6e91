// ServiceAccount: every pod runs as a service account of its namespace, "default" where it names none, takes over the
// account's pull secrets, and finds a token, the cluster's authority and its namespace below
// /var/run/secrets/kubernetes.io/serviceaccount. An account may be limited to the secrets it lists.
import { isPathSegmentName } from "../../api/meta/names.ts";
import { PartsWith } from "../../api/meta/shared-parts.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods, serviceaccounts } from "../../api/resources.generated.ts";
import { podReferences } from "../../api/semantics/pod-references.ts";
import type { Container, Pod, PodSpec, ServiceAccount, Volume } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

const mirrorAnnotation = "kubernetes.io/config.mirror";
const enforceSecretsAnnotation = "kubernetes.io/enforce-mountable-secrets";
const tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const volumePrefix = "kube-api-access-";

/** The controller makes the default account shortly after the namespace: a pod may be quicker. */
const defaultAccountAttempts = 10;

export interface ServiceAccountDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "get">;
  readonly clock: Clock;
}

export function createServiceAccount(deps: ServiceAccountDependencies): AdmissionPlugin {
  const specs = new PartsWith<PodSpec, ServiceAccount>();
  const withAccount = (pod: Pod, account: ServiceAccount): Pod => {
    const spec = pod.spec ?? ({ containers: [] } as PodSpec);
    return { ...pod, spec: specs.of(spec, account, () => specWithAccount(spec, account, deps.clock)) };
  };
  return {
    name: "ServiceAccount",
    only: [pods],
    handles: (request) =>
      (request.operation === "CREATE" && isAbout(request, pods)) ||
      (request.operation === "UPDATE" && isAbout(request, pods, "ephemeralcontainers")),
    admit(request) {
      const pod = request.object as Pod;
      if (request.operation === "UPDATE") return pod;
      // The kubelet's copy stays as it is; what it may not have is told before other plug-ins look at it.
      if (isMirror(pod)) {
        validateMirror(request, pod);
        return pod;
      }
      const found = findAccount(request, pod.spec?.serviceAccountName || "default", deps);
      return found instanceof Promise ? found.then((account) => withAccount(pod, account)) : withAccount(pod, found);
    },
    validate(request) {
      const pod = request.object as Pod;
      if (request.operation === "CREATE" && isMirror(pod)) return validateMirror(request, pod);
      const name = pod.spec?.serviceAccountName ?? "";
      if (name === "") throw refuse(request, `no service account specified for pod ${request.namespace}/${pod.metadata.name}`);
      const found = findAccount(request, name, deps);
      return found instanceof Promise ? found.then((account) => checkSecrets(request, account)) : checkSecrets(request, found);
    },
  };
}

/** An account may be limited to the secrets it lists. */
function checkSecrets(request: AdmissionRequest, account: ServiceAccount): void {
  if (!limitsSecrets(account)) return;
  const pod = request.object as Pod;
  const problem = request.operation === "UPDATE" ? forbiddenEphemeralSecret(account, pod) : forbiddenSecret(account, pod);
  if (problem !== undefined) throw refuse(request, problem);
}

const isMirror = (pod: Pod): boolean => pod.metadata.annotations?.[mirrorAnnotation] !== undefined;

function findAccount(request: AdmissionRequest, name: string, deps: ServiceAccountDependencies): Promise<ServiceAccount> | ServiceAccount {
  return deps.reader.informer(serviceaccounts).get(`${request.namespace}/${name}`) ?? awaitAccount(request, name, deps);
}

async function awaitAccount(request: AdmissionRequest, name: string, deps: ServiceAccountDependencies): Promise<ServiceAccount> {
  const { namespace } = request;
  const problems = isPathSegmentName(name);
  if (problems.length > 0) {
    const why = `invalid resource name ${JSON.stringify(name)}: [${problems.join(" ")}]`;
    throw refuse(request, `error looking up service account ${namespace}/${name}: ${why}`);
  }
  const retryMs = 100 + Math.floor(deps.clock.random() * 100);
  const attempts = name === "default" ? defaultAccountAttempts : 1;
  for (let attempt = 1; ; attempt++) {
    try {
      return await deps.client.get(serviceaccounts, { namespace, name });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      if (attempt === attempts)
        throw refuse(request, `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`);
    }
    await deps.clock.sleep(retryMs, request.signal);
  }
}

function specWithAccount(spec: PodSpec, account: ServiceAccount, clock: Clock): PodSpec {
  const name = account.metadata.name;
  const pullSecrets = spec.imagePullSecrets?.length
    ? spec.imagePullSecrets
    : account.imagePullSecrets?.map((s) => ({ name: s.name ?? "" }));
  const named: PodSpec = {
    ...spec,
    serviceAccountName: name,
    serviceAccount: name,
    ...(pullSecrets?.length ? { imagePullSecrets: pullSecrets } : {}),
  };
  const mounts = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
  return mounts ? withTokenVolume(named, clock) : named;
}

function withTokenVolume(spec: PodSpec, clock: Clock): PodSpec {
  const existing = spec.volumes?.find((v) => v.name.startsWith(volumePrefix));
  const volumeName = existing?.name ?? `${volumePrefix}${suffix(clock)}`;
  const needsMount = (c: Container): boolean => !c.volumeMounts?.some((m) => m.mountPath === tokenMountPath);
  const mount = <C extends Container>(c: C): C =>
    needsMount(c)
      ? { ...c, volumeMounts: (c.volumeMounts ?? []).concat({ name: volumeName, readOnly: true, mountPath: tokenMountPath }) }
      : c;
  // A pod sent without containers has null here: validation, which comes later, refuses it.
  const containers = spec.containers ?? [];
  const isNeeded = [...(spec.initContainers ?? []), ...containers].some(needsMount);
  return {
    ...spec,
    containers: containers.map(mount),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(mount) } : {}),
    ...(isNeeded && !existing ? { volumes: (spec.volumes ?? []).concat(tokenVolume(volumeName)) } : {}),
  };
}

const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";

function suffix(clock: Clock): string {
  let text = "";
  for (let i = 0; i < 5; i++) text += suffixLetters[Math.floor(clock.random() * suffixLetters.length)];
  return text;
}

function tokenVolume(name: string): Volume {
  return { name, projected: tokenSources };
}

/** The same in all pods. */
const tokenSources: NonNullable<Volume["projected"]> = {
  sources: [
    { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
    { downwardAPI: { items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }] } },
  ],
  defaultMode: 0o644,
};

/** Mirror pods show what a node runs on its own: they must not give it access to anything. */
function validateMirror(request: AdmissionRequest, pod: Pod): void {
  if (pod.spec?.serviceAccountName) throw refuse(request, "a mirror pod may not reference service accounts");
  if (podReferences(pod).secrets.size > 0) throw refuse(request, "a mirror pod may not reference secrets");
  if (pod.spec?.volumes?.some((v) => v.projected?.sources?.some((s) => s.serviceAccountToken)))
    throw refuse(request, "a mirror pod may not use ServiceAccountToken volume projections");
}

/** The texts Go's strconv.ParseBool takes for true. */
const trueTexts = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const limitsSecrets = (account: ServiceAccount): boolean => trueTexts.has(account.metadata.annotations?.[enforceSecretsAnnotation] ?? "");

/** The first secret a pod uses that its account does not list, in upstream's words. */
function forbiddenSecret(account: ServiceAccount, pod: Pod): string | undefined {
  const mountable = new Set((account.secrets ?? []).map((s) => s.name));
  const because = `is not allowed because service account ${account.metadata.name} does not reference that`;
  for (const { secret } of pod.spec?.volumes ?? [])
    if (secret && !mountable.has(secret.secretName)) return `volume with secret.secretName="${secret.secretName ?? ""}" ${because} secret`;
  const found =
    secretInContainers("init container", pod.spec?.initContainers ?? [], mountable, because) ??
    secretInContainers("container", pod.spec?.containers ?? [], mountable, because);
  if (found !== undefined) return found;
  const pullable = new Set((account.imagePullSecrets ?? []).map((s) => s.name));
  for (const [i, { name = "" }] of (pod.spec?.imagePullSecrets ?? []).entries())
    if (!pullable.has(name)) return `imagePullSecrets[${i}].name="${name}" ${because} imagePullSecret`;
  return undefined;
}

function forbiddenEphemeralSecret(account: ServiceAccount, pod: Pod): string | undefined {
  const mountable = new Set((account.secrets ?? []).map((s) => s.name));
  const because = `is not allowed because service account ${account.metadata.name} does not reference that`;
  return secretInContainers("ephemeral container", pod.spec?.ephemeralContainers ?? [], mountable, because);
}

function secretInContainers(
  noun: string,
  containers: readonly Pick<Container, "name" | "env" | "envFrom">[],
  mountable: ReadonlySet<string | undefined>,
  because: string,
): string | undefined {
  for (const { name, env = [], envFrom = [] } of containers) {
    for (const variable of env) {
      const secret = variable.valueFrom?.secretKeyRef;
      if (secret && !mountable.has(secret.name))
        return `${noun} ${name} with envVar ${variable.name} referencing secret.secretName="${secret.name ?? ""}" ${because} secret`;
    }
    for (const { secretRef } of envFrom)
      if (secretRef && !mountable.has(secretRef.name))
        return `${noun} ${name} with envFrom referencing secret.secretName="${secretRef.name ?? ""}" ${because} secret`;
  }
  return undefined;
}
