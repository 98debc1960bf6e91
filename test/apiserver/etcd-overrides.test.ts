// Resources in etcd servers of their own: events are written to, listed and watched from the second, all else lies in the
// first, and the health checks tell of both.
import { expect, test } from "vitest";
import { configmaps, events } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { createClient } from "../../src/client/create-client.ts";
import { EtcdStore } from "../../src/storage/etcd/etcd-store.ts";
import { prefixEnd } from "../../src/storage/store.ts";
import { startEtcd, whyNoEtcd } from "../storage/etcd-process.ts";
import { adminTransport, fetchText, startApiServerProcess } from "../support/apiserver-process.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoEtcd();
if (reason) console.log(`etcd servers of single resources are not tried: ${reason}`);

test.runIf(reason === undefined)(
  "events lie in the etcd that --etcd-servers-overrides names for them, and nothing else does",
  async () => {
    const [[main], [other]] = await Promise.all([startEtcd(), startEtcd()]);
    if (!main || !other) throw new Error("no etcd");
    const flags = ["--etcd-servers", main.url, "--etcd-servers-overrides", `/events#${other.url}`, "--etcd-prefix=/here"];
    const started: { stop(): Promise<void> }[] = [main, other];
    try {
      const server = await startApiServerProcess(flags);
      started.unshift(server);
      const transport = await adminTransport(server.dataDir);
      started.unshift({ stop: () => transport.close() });
      const client = createClient(transport);
      const seen: string[] = [];
      const watching = new AbortController();
      const { metadata: start } = await client.list(events, { namespace: "default" });
      const at = { namespace: "default", resourceVersion: start.resourceVersion ?? "", signal: watching.signal };
      const batches = await client.watch(events, at);
      const reading = (async () => {
        for await (const batch of batches) for (const { type, object } of batch) if (type === "ADDED") seen.push(object.metadata.name);
      })().catch(() => undefined);
      const metadata = { namespace: "default", name: "happened" };
      const made = await client.create(events, { metadata, involvedObject: { kind: "Node", name: "n", namespace: "default" } });
      await client.create(configmaps, { metadata: { namespace: "default", name: "c" } });
      await until("the watch has told of it", async () => seen.includes("happened"));
      // The other version of the same objects reads them from there too.
      const later = await fetchText(`${server.url}/apis/events.k8s.io/v1/namespaces/default/events/happened`, server.token);
      expect(JSON.parse(later).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
      const keysOf = async (url: string): Promise<readonly string[]> => {
        const store = new EtcdStore({ clock: realClock }, { servers: [url], prefix: "/here/" });
        try {
          return (await store.range({ start: "/here/", end: prefixEnd("/here/") })).items.map(({ key }) => key);
        } finally {
          await store.close();
        }
      };
      const [inMain, inOther] = await Promise.all([keysOf(main.url), keysOf(other.url)]);
      expect(inOther.every((key) => key.startsWith("/here/events/"))).toBe(true);
      expect(inOther).toContain("/here/events/default/happened");
      expect(inMain.some((key) => key.startsWith("/here/events/"))).toBe(false);
      expect(inMain).toContain("/here/configmaps/default/c");
      const checks = async (): Promise<string> => fetchText(`${server.url}/readyz?verbose`, server.token);
      expect(await checks()).toContain("[+]etcd-readiness ok\n[+]etcd-override-0 ok\n[+]etcd-override-readiness-0 ok\n");
      await other.stop();
      await until("the checks notice that it is away", async () => (await checks()).includes("[-]etcd-override-0 failed"));
      expect(await checks()).toContain("[+]etcd ok\n");
      watching.abort();
      await reading;
    } finally {
      for (const one of started) await one.stop();
    }
  },
  240_000,
);
