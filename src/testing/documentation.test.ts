// The examples of docs/testing.md and docs/simulated-nodes.md, as they stand there.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { loadUserModules } from "../base/user-modules.ts";
import { checkedImages } from "../cri/simulated/programs.ts";
import { createCluster, resources } from "./index.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-documentation-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function example(page: string): Promise<string> {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), "utf8");
  return /```ts\n(.*?)```/s.exec(text)?.[1] ?? "";
}

describe("documentation", { timeout: 120_000 }, () => {
  it("testing.md: a CronJob's hours pass at once", async () => {
    const lines: unknown[] = [];
    const code = (await example("testing.md"))
      .replace(/^import .*$/m, "")
      .replace("await using cluster =", "const cluster =")
      .concat("\nawait cluster[Symbol.asyncDispose]();");
    const AsyncFunction = (async () => undefined).constructor as new (...source: string[]) => (...args: unknown[]) => Promise<void>;
    await new AsyncFunction("createCluster", "resources", "console", code)(createCluster, resources, {
      log: (line: unknown) => lines.push(line),
    });
    expect(lines).toEqual([[1, 1, 1]]);
  });

  it("simulated-nodes.md: a server, and a job that asks it", async () => {
    const file = join(directory, "images.ts");
    await writeFile(file, await example("simulated-nodes.md"));
    const { exported: images } = await loadUserModules([file], checkedImages);
    const cluster = await createCluster({ images });
    try {
      const { client } = cluster;
      await cluster.apply(
        {
          apiVersion: "v1",
          kind: "Service",
          metadata: { name: "web" },
          spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
        },
        {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name: "web", labels: { app: "web" } } as never, // labels are part of metadata
          spec: {
            containers: [
              {
                name: "web",
                image: "example.test/web:1",
                env: [{ name: "GREETING", value: "good morning" }],
                readinessProbe: { grpc: { port: 9090 } },
                livenessProbe: { exec: { command: ["version"] } },
              },
            ],
          },
        },
        {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name: "migrate" },
          spec: { restartPolicy: "Never", containers: [{ name: "main", image: "example.test/migrate:7" }] },
        },
      );
      const phase = async (name: string) => (await client.get(resources.pods, { namespace: "default", name })).status?.phase;
      await cluster.until(async () => (await phase("migrate")) === "Succeeded");
      const log = await vi.waitFor(() => client.raw("GET", "/api/v1/namespaces/default/pods/migrate/log"), 60_000);
      expect(log).toBe("good morning from web\n");
    } finally {
      await cluster[Symbol.asyncDispose]();
    }
  });
});
