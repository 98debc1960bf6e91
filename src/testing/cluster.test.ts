import { afterEach, describe, expect, it } from "vitest";
import { createCluster, resources, type TestCluster } from "./index.ts";

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

describe("createCluster()", { timeout: 120_000 }, () => {
  it("runs what is applied to it, on a clock that only the test moves", async () => {
    cluster = await createCluster({
      nodes: 2,
      images: [{ name: "example.test/web:1", run: ({ serve, pod }) => serve(80, () => new Response(`hello from ${pod.name}`)) }],
      log: (line) => process.env.CLUSTER_LOG && console.log(line),
    });
    const { client, clock } = cluster;
    const beganMs = clock.now();
    await cluster.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: "example.test/web:1", readinessProbe: { httpGet: { port: 80 } } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 8080, targetPort: 80 }] }
`);
    const deployment = { namespace: "default", name: "web" };
    await cluster.until(async () => (await client.get(resources.deployments, deployment)).status?.readyReplicas === 3);
    const answer = await cluster.until(() => cluster?.fetch("http://web:8080/").catch(() => undefined));
    expect(await answer.text()).toMatch(/^hello from web-/);
    expect(clock.now() - beganMs).toBeLessThan(60_000);
  });
});
