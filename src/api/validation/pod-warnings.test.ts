import { describe, expect, it } from "vitest";
import type { ContainerPort } from "../types/core-v1.ts";
import { podOf, podWith, web } from "./pod-fixture.ts";
import { podTemplateWarnings, podWarnings } from "./pod-warnings.ts";

describe("podWarnings()", () => {
  it("has nothing to say about an ordinary pod", () => {
    expect(podWarnings(podWith())).toEqual([]);
  });

  it("warns of variables that hide others, not of those that extend them", () => {
    const env = [
      { name: "A", value: "1" },
      { name: "A", value: "$(A):2" },
      { name: "A", value: "3" },
    ];
    expect(podWarnings(podOf({ env }))).toEqual([
      'spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply',
    ]);
  });

  it("warns of ports that meet", () => {
    const ports = [{ containerPort: 80, name: "http" }];
    const pod = podWith({
      containers: [
        { ...web, ports },
        { ...web, name: "b", ports: [{ containerPort: 80, hostPort: 8080, name: "http" }] },
      ],
    });
    expect(podWarnings(pod)).toEqual([
      "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
      'spec.containers[1].ports[0]: duplicate port name "http" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]',
    ]);
  });

  it("tells how ports meet on the host", () => {
    const containerPort = 80;
    const hostPort = 8080;
    const ports = [
      { containerPort, hostPort, hostIP: "10.0.0.1" },
      { containerPort, hostPort, hostIP: "10.0.0.2" },
      { containerPort, hostPort },
      { containerPort, hostPort: 8081 },
      { containerPort, hostPort, hostIP: "10.0.0.2" },
      { containerPort },
    ];
    const at = (i: number): string => `spec.containers[0].ports[${i}]`;
    expect(podWarnings(podOf({ ports }))).toEqual([
      `${at(2)}: dangerously ambiguous port definition with ${at(0)}`,
      `${at(2)}: dangerously ambiguous port definition with ${at(1)}`,
      `${at(4)}: duplicate port definition with ${at(1)}`,
      `${at(4)}: dangerously ambiguous port definition with ${at(2)}`,
      ...[0, 1, 2, 3, 4].map((i) => `${at(5)}: overlapping port definition with ${at(i)}`),
    ]);
  });

  it("does not look at every pair of thousands of ports", () => {
    const many = (port: (i: number) => ContainerPort): ContainerPort[] => Array.from({ length: 60_000 }, (_, i) => port(i));
    const beganMs = performance.now();
    expect(podWarnings(podOf({ ports: many(() => ({ containerPort: 80 })) }))).toHaveLength(1000);
    expect(podWarnings(podOf({ ports: many((i) => ({ containerPort: 80, hostPort: i + 1 })) }))).toEqual([]);
    const onAddresses = many((i) => ({ containerPort: 80, hostPort: 80, hostIP: `10.0.${i >> 8}.${i & 255}` }));
    expect(podWarnings(podOf({ ports: onAddresses }))).toEqual([]);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  }, 60_000);

  it("warns of files that are written over others", () => {
    const projected = {
      sources: [
        { configMap: { name: "m", items: [{ key: "k", path: "a" }] } },
        { secret: { name: "s", items: [{ key: "k", path: "a/b" }] } },
      ],
    };
    expect(podWarnings(podWith({ volumes: [{ name: "v", projected }] }))).toEqual([
      'volume "v" (Projected): overlapping paths: "a/b" (Secret "s") with "a" (ConfigMap "m")',
    ]);
  });

  it("finds the files that meet in their order, whatever is between them", () => {
    const items = ["b", "a-b", "a/b/", "c", "a//d", "a", "b"].map((path) => ({ key: "k", path }));
    expect(podWarnings(podWith({ volumes: [{ name: "v", configMap: { name: "m", items } }] }))).toEqual(
      ['"a" with "a/b"', '"a" with "a//d"', '"b" with "b"'].map((pair) => `volume "v" (ConfigMap "m"): overlapping paths: ${pair}`),
    );
  });

  it("does not look at every pair of thousands of files", () => {
    const volumes = (path: (i: number) => string) => [
      { name: "v", configMap: { name: "m", items: Array.from({ length: 50_000 }, (_, i) => ({ key: "k", path: path(i) })) } },
    ];
    const beganMs = performance.now();
    expect(podWarnings(podWith({ volumes: volumes(() => "a") }))).toHaveLength(1000);
    expect(podWarnings(podWith({ volumes: volumes((i) => `a${i}`) }))).toEqual([]);
    expect(
      podWarnings(podWith({ volumes: [{ name: "v", secret: { items: [{ key: "k", path: `a${"/".repeat(1_000_000)}b` }] } }] })),
    ).toEqual([]);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  }, 60_000);

  it("names the field of a template", () => {
    const template = { spec: podWith({ nodeSelector: { "beta.kubernetes.io/os": "linux" } }).spec };
    expect(podTemplateWarnings("spec.template", template)).toEqual([
      'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
    ]);
  });
});
