// Defaults of a pod's spec, in pods and in every template (upstream: SetDefaults_PodSpec, _Container, _Probe, _Volume …).
// What only pods themselves get (requests from limits, service links) is in pod.ts.
import type {
  Container,
  ContainerPort,
  EnvVar,
  EphemeralContainer,
  GRPCAction,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  PodSpec,
  PodTemplateSpec,
  Probe,
} from "../types/core-v1.ts";
import { change, changeEach, fill } from "./fill.ts";
import { defaultPullPolicy } from "./pull-policy.ts";
import { roundFields } from "./resource-list.ts";
import { defaultVolume } from "./volume.ts";

const defaultPort = (port: ContainerPort): ContainerPort => fill(port, { protocol: "TCP" });

const defaultHttpGet = (action: HTTPGetAction): HTTPGetAction => fill(action, { path: "/", scheme: "HTTP" });
const defaultGrpc = (action: GRPCAction): GRPCAction => fill(action, { service: "" });

function defaultProbe(probe: Probe): Probe {
  const filled = fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  return change(change(filled, "httpGet", defaultHttpGet), "grpc", defaultGrpc);
}

const defaultHandler = (handler: LifecycleHandler): LifecycleHandler => change(handler, "httpGet", defaultHttpGet);
const defaultLifecycle = (hooks: Lifecycle): Lifecycle => change(change(hooks, "postStart", defaultHandler), "preStop", defaultHandler);

function defaultEnv(variable: EnvVar): EnvVar {
  return change(variable, "valueFrom", (source) =>
    change(
      change(
        change(source, "fieldRef", (ref) => fill(ref, { apiVersion: "v1" })),
        "resourceFieldRef",
        (ref) => fill(ref, { divisor: "0" }),
      ),
      "fileKeyRef",
      (ref) => fill(ref, { optional: false }),
    ),
  );
}

const containerDefaults = { terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File" } as const;

export function defaultContainer<C extends Container | EphemeralContainer>(container: C): C {
  let c: Container = fill(container as Container, containerDefaults);
  if (!c.imagePullPolicy) c = { ...c, imagePullPolicy: defaultPullPolicy(container.image ?? "") };
  c = changeEach(c, "ports", defaultPort);
  c = changeEach(c, "env", defaultEnv);
  c = change(c, "livenessProbe", defaultProbe);
  c = change(c, "readinessProbe", defaultProbe);
  c = change(c, "startupProbe", defaultProbe);
  c = change(c, "lifecycle", defaultLifecycle);
  c = change(c, "resources", (resources) => roundFields(resources, "limits", "requests"));
  return c as C;
}

const specDefaults = {
  dnsPolicy: "ClusterFirst",
  restartPolicy: "Always",
  securityContext: {},
  terminationGracePeriodSeconds: 30,
  schedulerName: "default-scheduler",
} as const;

export function defaultPodSpec(spec: PodSpec): PodSpec {
  // serviceAccount is the old name of serviceAccountName: each stands in for the other.
  const account = spec.serviceAccountName || spec.serviceAccount;
  let s = fill(spec, specDefaults);
  if (account && (s.serviceAccountName !== account || s.serviceAccount !== account))
    s = { ...s, serviceAccountName: account, serviceAccount: account };
  s = change(roundFields(s, "overhead"), "resources", (resources) => roundFields(resources, "limits", "requests"));
  s = changeEach(s, "volumes", defaultVolume);
  s = changeEach(s, "initContainers", defaultContainer<Container>);
  s = changeEach(s, "containers", defaultContainer<Container>);
  return changeEach(s, "ephemeralContainers", defaultContainer<EphemeralContainer>);
}

export const defaultPodTemplate = (template: PodTemplateSpec): PodTemplateSpec => change(template, "spec", defaultPodSpec);
