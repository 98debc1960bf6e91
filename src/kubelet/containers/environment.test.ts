import { describe, expect, it } from "vitest";
import { notFound } from "../../api/meta/status-error.ts";
import type { ConfigMap, Container, Pod, Secret, Service } from "../../api/types/core-v1.ts";
import { fieldValue, resourceValue } from "./downward.ts";
import { buildEnvironment, type EnvironmentContext } from "./environment.ts";
import { expandReferences } from "./expansion.ts";

const pod = {
  metadata: { name: "web-1", namespace: "shop", uid: "u1", labels: { app: "web", tier: 'front"end' } },
  spec: { nodeName: "n1", serviceAccountName: "sa", containers: [] },
} as unknown as Pod;

const context: EnvironmentContext = {
  objects: {
    async configMap(_, name) {
      if (name !== "settings") throw notFound({ group: "", resource: "configmap" }, name);
      return { data: { COLOR: "red" } } as unknown as ConfigMap;
    },
    async secret(_, name) {
      if (name !== "login") throw notFound({ group: "", resource: "secret" }, name);
      return { data: { password: Buffer.from("sesame").toString("base64") } } as unknown as Secret;
    },
  },
  services: [],
  podIPs: ["10.0.0.5", "fd00::5"],
  hostIPs: ["192.0.2.1"],
  allocatable: { cpu: "4", memory: "8Gi" },
  readVolumeFile: async () => "# made by init\nTOKEN='abc'\n",
};

async function environmentOf(fields: Partial<Container>, more: Partial<EnvironmentContext> = {}): Promise<Record<string, string>> {
  return Object.fromEntries(await buildEnvironment(pod, { name: "main", ...fields }, { ...context, ...more }));
}

describe("expandReferences()", () => {
  it.each([
    ["$(A)", "1"],
    ["x$(A)y$(B)", "x1y2"],
    ["$(NONE)", "$(NONE)"],
    ["$$(A)", "$(A)"],
    ["$$$(A)", "$1"],
    ["$A $", "$A $"],
    ["$(A", "$(A"],
  ])("expands %s to %s", (text, expanded) => {
    expect(expandReferences(text, (name) => ({ A: "1", B: "2" })[name])).toBe(expanded);
  });
});

describe("buildEnvironment()", () => {
  it("takes values from objects, the pod and earlier variables", async () => {
    const env = [
      { name: "COLOR_COPY", value: "$(P_COLOR)" },
      { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "login", key: "password" } } },
      { name: "LOGIN", value: "me:$(PASSWORD)" },
      { name: "IPS", valueFrom: { fieldRef: { fieldPath: "status.podIPs" } } },
      { name: "TOKEN", valueFrom: { fileKeyRef: { volumeName: "v", path: "env", key: "TOKEN" } } },
    ];
    expect(await environmentOf({ env, envFrom: [{ prefix: "P_", configMapRef: { name: "settings" } }] })).toEqual({
      P_COLOR: "red",
      COLOR_COPY: "red",
      PASSWORD: "sesame",
      LOGIN: "me:sesame",
      IPS: "10.0.0.5,fd00::5",
      TOKEN: "abc",
    });
  });

  it("leaves out what is optional and missing, and fails for what is not", async () => {
    const missing = { name: "none", key: "a" };
    expect(await environmentOf({ env: [{ name: "A", valueFrom: { configMapKeyRef: { ...missing, optional: true } } }] })).toEqual({});
    await expect(environmentOf({ env: [{ name: "A", valueFrom: { configMapKeyRef: missing } }] })).rejects.toThrow(
      'configmap "none" not found',
    );
    const wrongKey = { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "login", key: "user" } } }] };
    await expect(environmentOf(wrongKey)).rejects.toThrow("couldn't find key user in Secret shop/login");
  });

  it("tells of the services of the namespace, and always of the API server's", async () => {
    const service = (namespace: string, name: string, clusterIP: string): Service =>
      ({ metadata: { namespace, name }, spec: { clusterIP, ports: [{ name: "http", port: 80, protocol: "TCP" }] } }) as unknown as Service;
    const services = [
      service("default", "kubernetes", "10.96.0.1"),
      service("shop", "my-db", "10.96.0.9"),
      service("other", "x", "10.96.0.8"),
      service("shop", "headless", "None"),
    ];
    const variables = await environmentOf({}, { services });
    expect(variables).toMatchObject({
      KUBERNETES_SERVICE_HOST: "10.96.0.1",
      MY_DB_SERVICE_HOST: "10.96.0.9",
      MY_DB_SERVICE_PORT: "80",
      MY_DB_SERVICE_PORT_HTTP: "80",
      MY_DB_PORT: "tcp://10.96.0.9:80",
      MY_DB_PORT_80_TCP_ADDR: "10.96.0.9",
    });
    expect(Object.keys(variables).some((name) => name.startsWith("X_") || name.startsWith("HEADLESS_"))).toBe(false);
  });
});

describe("the downward API", () => {
  it("writes labels one a line, quoted as Go quotes", () => {
    expect(fieldValue(pod, { fieldPath: "metadata.labels" }, context)).toBe('app="web"\ntier="front\\"end"');
    expect(fieldValue(pod, { fieldPath: "metadata.labels['app']" }, context)).toBe("web");
  });

  it("divides resources by the divisor, rounding up, and takes the node's for limits that are not set", () => {
    const container: Container = { name: "main", resources: { limits: { cpu: "1500m" }, requests: { memory: "100Mi" } } };
    const value = (resource: string, divisor?: string): string =>
      resourceValue(pod, container, { resource, ...(divisor ? { divisor } : {}) }, context);
    expect(value("limits.cpu")).toBe("2");
    expect(value("limits.cpu", "1m")).toBe("1500");
    expect(value("requests.memory", "1Mi")).toBe("100");
    expect(value("limits.memory", "1Gi")).toBe("8");
  });
});
