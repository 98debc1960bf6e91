// The start of a pod in a trace, from the kubelet to a collector that speaks OTLP.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { Tracer } from "../base/tracing.ts";
import { connectTraceExporter, type ExportTraceServiceRequest, traceServiceV1 } from "../rpc/otlp.ts";
import { serveRpc } from "../rpc/server.ts";
import { startKubelet } from "../testing/kubelet-fixture.ts";

test("a pod's start is a trace: its cgroup and volumes, and each call of the runtime", async () => {
  const directory = await mkdtemp(join(tmpdir(), "coracle-traces-"));
  const endpoint = join(directory, "otlp.sock");
  const requests: ExportTraceServiceRequest[] = [];
  const handlers = {
    export: async (request: ExportTraceServiceRequest) => {
      requests.push(request);
      return {};
    },
  };
  const collector = await serveRpc({ endpoint, services: [{ protocol: traceServiceV1, service: "TraceService", handlers }] });
  const exporter = connectTraceExporter({ endpoint: `unix://${endpoint}`, resource: { "service.name": "kubelet" }, scope: "kubelet" });
  const exportSpans = exporter.export;
  const tracer = new Tracer({ clock: new VirtualClock(), logger: silentLogger, exportSpans }, { perMillion: 1_000_000 });
  try {
    await using f = await startKubelet({ deps: { tracer } });
    await f.createPod("web");
    await f.untilPhase("web", "Running");
    await tracer.stop();
    const [first] = requests.flatMap((request) => request.resourceSpans);
    expect(first?.resource.attributes).toEqual([{ key: "service.name", value: { stringValue: "kubelet" } }]);
    const spans = requests.flatMap((request) => request.resourceSpans).flatMap((of) => of.scopeSpans.flatMap((scope) => scope.spans));
    const created = spans.find(
      (span) => span.name === "syncPod" && span.attributes.some((a) => a.key === "k8s.pod.update_type" && a.value.stringValue === "create"),
    );
    expect(created?.attributes).toContainEqual({ key: "k8s.pod", value: { stringValue: "default/web" } });
    const within = spans
      .filter((span) => Buffer.from(span.parentSpanId).equals(Buffer.from(created?.spanId ?? [])))
      .map((span) => span.name);
    for (const name of ["EnsureCgroup", "MountVolumes", "RunPodSandbox", "CreateContainer", "StartContainer"])
      expect(within.map((of) => of.replace("runtime.v1.RuntimeService/", ""))).toContain(name);
  } finally {
    exporter.close();
    await collector.stop();
    await rm(directory, { recursive: true });
  }
});
