import { describe, expect, it } from "vitest";
import type { Container, Pod, PodSpec, Volume } from "../types/core-v1.ts";
import { validatePod } from "./pod.ts";
import { podOf, podWith, web } from "./pod-fixture.ts";

const messages = (pod: Pod): string[] => validatePod(pod).map((error) => error.message);

// What a client sends need not fit the types.
const untyped = <T>(value: unknown): T => value as T;

describe("validatePod()", () => {
  it("accepts an ordinary pod", () => {
    expect(messages(podWith())).toEqual([]);
  });

  it("asks for containers", () => {
    expect(messages(podWith({ containers: [] }))).toEqual(["spec.containers: Required value"]);
  });

  it("reports every fault, container by container, before those of the spec", () => {
    const containers = untyped<Container[]>([{ name: "A", image: "", imagePullPolicy: "x", ports: [{ containerPort: 0 }] }, {}]);
    const spec = untyped<PodSpec>({ containers, restartPolicy: "Maybe", dnsPolicy: "Foo" });
    expect(validatePod(podWith(spec)).map(({ field, type }) => `${field} ${type}`)).toEqual([
      "spec.containers[0].name FieldValueInvalid",
      "spec.containers[0].image FieldValueRequired",
      "spec.containers[0].ports[0].containerPort FieldValueRequired",
      "spec.containers[0].imagePullPolicy FieldValueNotSupported",
      "spec.containers[1].name FieldValueRequired",
      "spec.containers[1].image FieldValueRequired",
      "spec.restartPolicy FieldValueNotSupported",
      "spec.dnsPolicy FieldValueNotSupported",
    ]);
  });

  it("refuses mounts and devices that meet, and spread constraints that say the same", () => {
    const volumes = [
      { name: "v", emptyDir: {} },
      { name: "b", persistentVolumeClaim: { claimName: "c" } },
    ];
    const volumeMounts = [
      { name: "v", mountPath: "/a" },
      { name: "v", mountPath: "/a" },
      { name: "b", mountPath: "/d" },
    ];
    expect(messages(podOf({ volumeMounts, volumeDevices: [{ name: "b", devicePath: "/d" }] }, { volumes }))).toEqual([
      'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
      'spec.containers[0].volumeMounts[2].name: Invalid value: "b": must not already exist in volumeDevices',
      'spec.containers[0].volumeMounts[2].mountPath: Invalid value: "/d": must not already exist as a path in volumeDevices',
      'spec.containers[0].volumeDevices[0].name: Invalid value: "b": must not already exist in volumeMounts',
      'spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/d": must not already exist as a path in volumeMounts',
    ]);
    const spread = (whenUnsatisfiable: string) => ({ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable });
    const same = spread("DoNotSchedule");
    const topologySpreadConstraints = untyped<NonNullable<PodSpec["topologySpreadConstraints"]>>([same, spread("ScheduleAnyway"), same]);
    expect(messages(podWith({ topologySpreadConstraints }))).toEqual([
      'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"',
    ]);
  });

  it("does not compare each of thousands of mounts and constraints with each", () => {
    const many = <T>(make: (i: number) => T): T[] => Array.from({ length: 30_000 }, (_, i) => make(i));
    const volumeMounts = many((i) => ({ name: "v", mountPath: `/${i}` }));
    const topologySpreadConstraints = many((i) => ({ maxSkew: 1, topologyKey: `k${i}`, whenUnsatisfiable: "DoNotSchedule" as const }));
    const beganMs = performance.now();
    expect(messages(podOf({ volumeMounts }, { volumes: [{ name: "v", emptyDir: {} }], topologySpreadConstraints }))).toEqual([]);
    expect(performance.now() - beganMs).toBeLessThan(5000);
  }, 60_000);

  it("refuses two containers of one name, also among init containers", () => {
    const pod = podWith({ containers: [web, web], initContainers: [web] });
    expect(messages(pod)).toEqual([
      'spec.containers[1].name: Duplicate value: "web"',
      'spec.initContainers[0].name: Duplicate value: "web"',
    ]);
  });

  it("refuses one host port for two containers", () => {
    const ports = [{ containerPort: 80, hostPort: 8080 }];
    const pod = podWith({
      containers: [
        { ...web, ports },
        { ...web, name: "b", ports },
      ],
    });
    expect(messages(pod)).toEqual(['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//8080"']);
  });

  it("leaves images in templates alone, and refuses space around those of pods", () => {
    expect(messages(podOf({ image: " nginx " }))).toEqual([
      'spec.containers[0].image: Invalid value: " nginx ": must not have leading or trailing whitespace',
    ]);
  });

  it("gives probes and hooks to sidecars, not to other init containers", () => {
    const livenessProbe = { exec: { command: ["true"] } };
    expect(messages(podWith({ initContainers: [{ ...web, name: "i", livenessProbe, restartPolicy: "Always" }] }))).toEqual([]);
    expect(messages(podWith({ initContainers: [{ ...web, name: "i", livenessProbe }] }))).toEqual([
      "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ]);
  });

  it("refuses mounts of volumes that do not exist or are wrong", () => {
    const volumeMounts = [
      { name: "nope", mountPath: "/a" },
      { name: "bad", mountPath: "/b" },
    ];
    const volumes = untyped<Volume[]>([{ name: "bad", hostPath: { path: "/a/../b" } }]);
    expect(messages(podOf({ volumeMounts }, { volumes }))).toEqual([
      "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
      'spec.containers[0].volumeMounts[0].name: Not found: "nope"',
      'spec.containers[0].volumeMounts[1].name: Not found: "bad"',
    ]);
  });

  it("lets a volume have one source", () => {
    const volumes: Volume[] = [{ name: "v", emptyDir: {}, hostPath: { path: "/x" }, configMap: { name: "m" } }];
    expect(messages(podWith({ volumes }))).toEqual([
      "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
      "spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type",
    ]);
  });

  it("compares requests with limits", () => {
    const resources = { requests: { cpu: "2", "example.com/gpu": "1" }, limits: { cpu: "1", "example.com/gpu": "2" } };
    expect(messages(podOf({ resources }))).toEqual([
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
      'spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2',
    ]);
  });

  it("counts huge pages in whole pages, beside cpu or memory", () => {
    const amounts = { "hugepages-2Mi": "3Mi" };
    expect(messages(podOf({ resources: { requests: amounts, limits: amounts } }))).toEqual([
      'spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
      'spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
      "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
    ]);
  });

  it("shows a security context that contradicts itself in the form of Go", () => {
    const [message] = messages(podOf({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }));
    expect(message).toMatch(
      /^spec\.containers\[0\]\.securityContext: Invalid value: \{"Capabilities":null,"Privileged":true,"SELinuxOptions":null,/,
    );
    expect(message).toMatch(/"AppArmorProfile":null\}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true$/);
  });

  it("refuses Linux settings in a Windows pod", () => {
    const pod = podWith({ os: { name: "windows" }, hostPID: true, securityContext: { runAsUser: 1 } });
    expect(messages(pod)).toEqual([
      "spec.hostPID: Forbidden: cannot be set for a windows pod",
      "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
    ]);
  });

  it("reads tolerations' operators", () => {
    const tolerations = untyped<PodSpec["tolerations"]>([{ key: "a", operator: "Gt", value: "1" }, { key: "a", operator: "Like" }, {}]);
    expect(messages(podWith({ ...(tolerations ? { tolerations } : {}) }))).toEqual([
      'spec.tolerations[0].operator: Unsupported value: "Gt": supported values: "Equal", "Exists", "Lt", "Gt"',
      'spec.tolerations[1].operator: Unsupported value: "Like": supported values: "Equal", "Exists"',
      'spec.tolerations[2].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"',
    ]);
  });

  it("checks annotations that mean something", () => {
    const pod = podWith({}, { "controller.kubernetes.io/pod-deletion-cost": "+1", "seccomp.security.alpha.kubernetes.io/pod": "foo" });
    expect(messages(pod)).toEqual([
      'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer',
      'metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "foo": must be a valid seccomp profile',
    ]);
  });
});
