// The second and later pods of a specification are answered from what was found out about the first ones: as the first are.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PodSpec } from "../../api/types/core-v1.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const path = "/api/v1/namespaces/default/pods";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => server.stop());

const container = { name: "c", image: "app" };
const claimTemplate = { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } };
const specs: Readonly<Record<string, object>> = {
  plain: { containers: [container] },
  "with resources": {
    containers: [{ ...container, resources: { limits: { cpu: "0.5", memory: "1Gi" } } }],
    terminationGracePeriodSeconds: 0,
  },
  "with empty lists": { containers: [{ ...container, env: [], ports: [] }], volumes: [], nodeSelector: {} },
  "with an ephemeral volume": { containers: [container], volumes: [{ name: "v", ephemeral: { volumeClaimTemplate: claimTemplate } }] },
  "with a warning": { containers: [container], nodeSelector: { "beta.kubernetes.io/os": "linux" } },
  "that is invalid": { containers: [{ ...container, name: "No" }], restartPolicy: "Sometimes" },
  "with a negative grace period": { containers: [container], terminationGracePeriodSeconds: -3 },
  "with label keys": {
    containers: [container],
    topologySpreadConstraints: [
      {
        ...{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" },
        ...{ labelSelector: { matchLabels: { tier: "x" } }, matchLabelKeys: ["app"] },
      },
    ],
  },
};

/** What an answer says beside what each pod has of its own. */
function withoutOwn({ status, body }: { readonly status: number; readonly body: unknown }, name: string): string {
  const text = JSON.stringify({ status, body }).replaceAll(name, "NAME");
  return text.replace(/"(uid|resourceVersion)":"[^"]*"/g, '"$1":"…"');
}

describe.each(Object.entries(specs))("a specification %s", (of, spec) => {
  it.each([
    ["without annotations", {}],
    ["with annotations", { annotations: { "container.apparmor.security.beta.kubernetes.io/c": "runtime/default", a: "b" } }],
    ["of a mirror pod", { annotations: { "kubernetes.io/config.mirror": "x" } }],
  ])("is answered alike each time: %s", async (kind, metadata) => {
    const answers: string[] = [];
    for (const name of ["pod-a", "pod-b", "pod-c", "pod-d"]) {
      const answer = await server.send("POST", path, {
        body: { kind: "Pod", metadata: { name, labels: { app: "a" }, ...metadata }, spec },
      });
      answers.push(withoutOwn(answer, name));
    }
    expect(new Set(answers).size).toBe(1);
    const isRefused = of === "that is invalid" || kind === "of a mirror pod";
    expect(answers[0]).toMatch(isRefused ? /^{"status":422/ : /^{"status":201/);
  });
});

it("labels of their own count where label keys are merged", async () => {
  const spec = specs["with label keys"];
  const values: unknown[] = [];
  for (const app of ["a", "a", "b", "c"]) {
    const { body } = await server.send("POST", path, { body: { kind: "Pod", metadata: { generateName: "p-", labels: { app } }, spec } });
    const [constraint] = (body.spec as PodSpec).topologySpreadConstraints ?? [];
    values.push(constraint?.labelSelector?.matchExpressions?.[0]?.values);
  }
  expect(values).toEqual([["a"], ["a"], ["b"], ["c"]]);
});
