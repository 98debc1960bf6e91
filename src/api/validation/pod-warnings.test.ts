import { describe, expect, it } from "vitest";
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

  it("names the field of a template", () => {
    const template = { spec: podWith({ nodeSelector: { "beta.kubernetes.io/os": "linux" } }).spec };
    expect(podTemplateWarnings("spec.template", template)).toEqual([
      'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
    ]);
  });
});
