// One valid object of every kind whose operations users rely on, as a person would write it, and a change of its status where
// clients write that. Names and namespaces are added by whoever uses them.
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import type { ResourceType } from "../../src/api/resource-type.ts";
import * as r from "../../src/api/resources.generated.ts";
import { generateKey } from "../../src/base/x509/certificate.ts";
import { createSigningRequest } from "../../src/base/x509/signing-request.ts";

export interface Sample {
  readonly type: ResourceType<KubernetesObject>;
  /** Without metadata. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** What a client writes to /status, merged into it; absent where the kind has none. */
  readonly status?: Readonly<Record<string, unknown>>;
  /** Writing the status leaves labels and annotations as they were. */
  readonly statusAlone?: true;
  /** Where any name will not do. */
  readonly name?: string;
  /** A second object for kinds whose names say what they are. */
  readonly other?: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> };
}

const labels = { app: "sample" };
const template = { metadata: { labels }, spec: { containers: [{ name: "main", image: "example.test/box:1" }] } };
const selector = { matchLabels: labels };
const condition = {
  type: "Sampled",
  status: "True",
  reason: "Sampled",
  message: "by a test",
  lastTransitionTime: "2026-01-01T00:00:00Z",
};
const conditions = [condition];
const webhook = {
  name: "sample.example.com",
  clientConfig: { url: "https://127.0.0.1:1/sample" },
  failurePolicy: "Ignore",
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
  rules: [{ apiGroups: ["sample.example.com"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["samples"] }],
};
const matchConstraints = {
  resourceRules: [{ apiGroups: ["sample.example.com"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["samples"] }],
};

const signingRequest = Buffer.from(createSigningRequest({ commonName: "sample", organizations: [] }, generateKey())).toString("base64");

const deviceRequest = { devices: { requests: [{ name: "one", exactly: { deviceClassName: "sample" } }] } };

export const samples: readonly Sample[] = [
  {
    type: r.flowschemas,
    statusAlone: true,
    fields: { spec: { matchingPrecedence: 9000, priorityLevelConfiguration: { name: "exempt" } } },
    status: { conditions },
  },
  {
    type: r.prioritylevelconfigurations,
    statusAlone: true,
    fields: { spec: { type: "Limited", limited: { nominalConcurrencyShares: 1, limitResponse: { type: "Reject" } } } },
    status: { conditions },
  },
  { type: r.mutatingwebhookconfigurations, fields: { webhooks: [webhook] } },
  { type: r.validatingwebhookconfigurations, fields: { webhooks: [webhook] } },
  {
    type: r.validatingadmissionpolicies,
    statusAlone: true,
    fields: { spec: { matchConstraints, validations: [{ expression: "true" }] } },
    status: { conditions },
  },
  { type: r.validatingadmissionpolicybindings, fields: { spec: { policyName: "sample", validationActions: ["Warn"] } } },
  {
    type: r.mutatingadmissionpolicies,
    fields: {
      spec: {
        matchConstraints,
        reinvocationPolicy: "Never",
        mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression: "Object{}" } }],
      },
    },
  },
  { type: r.mutatingadmissionpolicybindings, fields: { spec: { policyName: "sample" } } },
  { type: r.configmaps, fields: { data: { a: "1" } } },
  { type: r.secrets, fields: { stringData: { a: "1" } } },
  { type: r.serviceaccounts, fields: {} },
  { type: r.limitranges, fields: { spec: { limits: [{ type: "Container", max: { cpu: "2" } }] } } },
  { type: r.resourcequotas, fields: { spec: { hard: { pods: "10000" } } }, status: { hard: { pods: "9999" } } },
  { type: r.podtemplates, fields: { template } },
  { type: r.pods, fields: { spec: { ...template.spec, terminationGracePeriodSeconds: 0 } }, status: { conditions: [condition] } },
  { type: r.replicationcontrollers, fields: { spec: { replicas: 0, selector: labels, template } }, status: { replicas: 0, conditions } },
  { type: r.replicasets, fields: { spec: { replicas: 0, selector, template } }, status: { replicas: 0, conditions } },
  { type: r.deployments, fields: { spec: { replicas: 0, selector, template } }, status: { conditions } },
  {
    type: r.statefulsets,
    fields: { spec: { replicas: 0, selector, serviceName: "sample", template } },
    status: { replicas: 0, conditions },
  },
  {
    type: r.daemonsets,
    fields: { spec: { selector, template } },
    status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0, conditions },
  },
  {
    type: r.jobs,
    fields: { spec: { suspend: true, template: { spec: { ...template.spec, restartPolicy: "Never" } } } },
    status: { ready: 0 },
  },
  {
    type: r.cronjobs,
    fields: {
      spec: {
        schedule: "0 0 1 1 *",
        suspend: true,
        jobTemplate: { spec: { template: { spec: { ...template.spec, restartPolicy: "Never" } } } },
      },
    },
    status: { lastScheduleTime: "2026-01-01T00:00:00Z" },
  },
  { type: r.controllerrevisions, fields: { revision: 1, data: { a: 1 } } },
  {
    type: r.poddisruptionbudgets,
    fields: { spec: { minAvailable: 1, selector } },
    status: { currentHealthy: 0, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 0, conditions },
  },
  { type: r.services, fields: { spec: { ports: [{ port: 80 }], selector: labels } }, status: { loadBalancer: {}, conditions } },
  { type: r.endpoints, fields: { subsets: [{ addresses: [{ ip: "192.0.2.1" }], ports: [{ port: 80 }] }] } },
  {
    type: r.endpointslices,
    fields: { addressType: "IPv4", endpoints: [{ addresses: ["192.0.2.1"] }], ports: [{ name: "http", port: 80 }] },
  },
  { type: r.ingressclasses, fields: { spec: { controller: "example.com/sample" } } },
  {
    type: r.ingresses,
    fields: { spec: { defaultBackend: { service: { name: "sample", port: { number: 80 } } } } },
    status: { loadBalancer: { ingress: [{ ip: "192.0.2.9" }] } },
  },
  { type: r.networkpolicies, fields: { spec: { podSelector: selector, policyTypes: ["Ingress"] } } },
  { type: r.servicecidrs, statusAlone: true, fields: { spec: { cidrs: ["10.97.0.0/24"] } }, status: { conditions } },
  {
    type: r.ipaddresses,
    name: "192.0.2.77",
    fields: { spec: { parentRef: { resource: "services", namespace: "default", name: "sample" } } },
    other: { name: "192.0.2.78", fields: { spec: { parentRef: { resource: "services", namespace: "default", name: "sample" } } } },
  },
  { type: r.priorityclasses, fields: { value: 7 } },
  { type: r.runtimeclasses, fields: { handler: "sample" } },
  { type: r.leases, fields: { spec: { holderIdentity: "sample", leaseDurationSeconds: 15 } } },
  { type: r.storageclasses, fields: { provisioner: "example.com/sample" } },
  { type: r.volumeattributesclasses, fields: { driverName: "example.com", parameters: { iops: "1" } } },
  { type: r.csidrivers, fields: { spec: { attachRequired: false } } },
  { type: r.csinodes, fields: { spec: { drivers: [{ name: "example.com", nodeID: "n", topologyKeys: ["zone"] }] } } },
  { type: r.csistoragecapacities, fields: { storageClassName: "sample", capacity: "1Gi" } },
  {
    type: r.volumeattachments,
    statusAlone: true,
    fields: { spec: { attacher: "example.com", nodeName: "n", source: { persistentVolumeName: "sample" } } },
    status: { attached: true },
  },
  {
    type: r.persistentvolumes,
    fields: {
      spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp" }, storageClassName: "manual" },
    },
    status: { phase: "Available", reason: "Sampled", message: "by a test" },
  },
  {
    type: r.persistentvolumeclaims,
    fields: { spec: { accessModes: ["ReadWriteOnce"], storageClassName: "manual", resources: { requests: { storage: "1Gi" } } } },
    status: { phase: "Pending", conditions },
  },
  { type: r.roles, fields: { rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }] } },
  { type: r.rolebindings, fields: { roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "sample" }, subjects: [] } },
  { type: r.clusterroles, fields: { rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }] } },
  {
    type: r.clusterrolebindings,
    fields: { roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "sample" }, subjects: [] },
  },
  { type: r.namespaces, fields: {}, status: { conditions } },
  {
    type: r.nodes,
    fields: { spec: { podCIDR: "10.251.1.0/24" } },
    status: { conditions: [{ ...condition, lastHeartbeatTime: condition.lastTransitionTime }] },
  },
  {
    type: r.certificatesigningrequests,
    fields: { spec: { request: signingRequest, signerName: "example.com/sample", usages: ["client auth"], expirationSeconds: 3600 } },
    status: { conditions: [{ type: "Failed", status: "True", reason: "Sampled", message: "by a test" }] },
  },
  {
    type: r.events,
    fields: {
      involvedObject: { kind: "Pod", namespace: "operations", name: "sample" },
      reason: "Sampled",
      message: "by a test",
      type: "Normal",
      source: { component: "test" },
    },
  },
  {
    type: r.eventsV1,
    fields: {
      regarding: { kind: "Pod", namespace: "operations", name: "sample" },
      eventTime: "2026-01-01T00:00:00.000000Z",
      action: "Sample",
      reason: "Sampled",
      note: "by a test",
      type: "Normal",
      reportingController: "example.com/test",
      reportingInstance: "test-1",
    },
  },
  { type: r.deviceclasses, fields: { spec: { selectors: [{ cel: { expression: 'device.driver == "sample.example.com"' } }] } } },
  {
    type: r.resourceclaims,
    statusAlone: true,
    fields: { spec: deviceRequest },
    status: {
      allocation: { devices: { results: [{ request: "one", driver: "sample.example.com", pool: "pool", device: "device" }] } },
    },
  },
  { type: r.resourceclaimtemplates, fields: { spec: { spec: deviceRequest } } },
  {
    type: r.resourceslices,
    fields: {
      spec: {
        driver: "sample.example.com",
        pool: { name: "pool", generation: 1, resourceSliceCount: 1 },
        nodeName: "sample",
        devices: [{ name: "device" }],
      },
    },
  },
];
