import { describe, expect, test } from "vitest";
import { notFound } from "../../api/meta/status-error.ts";
import { configmaps, secrets } from "../../api/resources.generated.ts";
import type { ConfigMap, Pod, ProjectedVolumeSource } from "../../api/types/core-v1.ts";
import { type PayloadContext, volumePayload } from "./payload.ts";

const metadata = { name: "p", namespace: "n", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const pod: Pod = { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "c", image: "i" }] } };
const settings: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: "settings" }, data: { color: "red" } };

const context = {
  objects: {
    configMap: async (_namespace: string, name: string) => {
      if (name !== "settings") throw notFound(configmaps, name);
      return settings;
    },
    secret: async (_namespace: string, name: string) => {
      throw notFound(secrets, name);
    },
  },
} as unknown as PayloadContext; // nothing else is asked for

const projected = (...sources: NonNullable<ProjectedVolumeSource["sources"]>) =>
  volumePayload(pod, { name: "v", projected: { sources } }, context);

describe("volumePayload() of several sources", () => {
  test("is the files of all of them, without optional ones that are not there", async () => {
    const files = await projected({ configMap: { name: "settings" } }, { secret: { name: "none", optional: true } });
    expect([...(files ?? [])].map(([path, { data }]) => [path, Buffer.from(data).toString()])).toEqual([["color", "red"]]);
  });

  test("says of one what is wrong with it, and of several all of it", async () => {
    const key = { configMap: { name: "settings", items: [{ key: "size", path: "size" }] } };
    await expect(projected(key)).rejects.toThrow(/^configmap references non-existent config key: size$/);
    await expect(projected({ configMap: { name: "none" } }, key, { secret: { name: "hidden" } })).rejects.toThrow(
      '[configmap "none" not found, configmap references non-existent config key: size, secret "hidden" not found]',
    );
  });
});
