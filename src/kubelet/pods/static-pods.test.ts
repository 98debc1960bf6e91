// Static pods: what is in a manifest, what is wrong with it, and pods from a URL.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { defaultPod } from "../../api/defaults/pod.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { validatePod } from "../../api/validation/pod.ts";
import { createLogger } from "../../base/log.ts";
import { nodeName, startKubelet } from "../../testing/kubelet-fixture.ts";
import { readManifest } from "./static-manifest.ts";

const podText = (spec: string, name = "web"): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}, spec: {containers: [{name: main, image: "busybox:1"}], ${spec}}}`;

function read(text: string, kind: "file" | "http" = "file"): readonly Pod[] {
  const rules = { nodeName: "node1", applyDefaults: defaultPod, validate: validatePod };
  return readManifest({ kind, source: "/etc/web.yaml", text, seenAt: () => "now" }, rules);
}

describe("readManifest()", () => {
  it("completes a pod: name, namespace, node, a uid of its own, annotations, tolerations, defaults", () => {
    const [pod] = read(podText(""));
    expect(pod?.metadata).toMatchObject({
      name: "web-node1",
      namespace: "default",
      annotations: {
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.seen": "now",
        "kubernetes.io/config.hash": pod?.metadata.uid,
      },
    });
    expect(pod?.spec).toMatchObject({
      nodeName: "node1",
      restartPolicy: "Always",
      tolerations: [{ operator: "Exists", effect: "NoExecute" }],
    });
    expect(read(podText("hostNetwork: true"))[0]?.metadata.uid).not.toBe(pod?.metadata.uid);
    expect(read(podText(""))[0]?.metadata.uid).toBe(pod?.metadata.uid);
  });

  it("takes a list, whose pods have uids of their own", () => {
    const item = (name: string): string => `{metadata: {name: ${name}}, spec: {containers: [{name: main, image: "busybox:1"}]}}`;
    const pods = read(`{apiVersion: v1, kind: PodList, items: [${item("a")}, ${item("b")}]}`, "http");
    expect(pods.map((p) => p.metadata.name)).toEqual(["a-node1", "b-node1"]);
    expect(new Set(pods.map((p) => p.metadata.uid)).size).toBe(2);
    expect(pods[0]?.spec.tolerations).toEqual([]);
  });

  it.each([
    ["{", /./],
    ["{apiVersion: v1, kind: Service}", /expected a v1 Pod, found v1 Service/],
    ["{apiVersion: v1, kind: Pod, metadata: {}}", /name is needed/],
    [podText("restartPolicy: Sometimes"), /invalid pod: spec.restartPolicy/],
    [podText("serviceAccountName: x"), /static pods may not reference serviceaccounts/],
    [podText("imagePullSecrets: [{name: x}]"), /may not reference secrets/],
    [podText("volumes: [{name: v, configMap: {name: x}}]"), /may not reference configmaps \(via configmap volumes\)/],
    [podText("volumes: [{name: v, projected: {sources: [{secret: {name: x}}]}}]"), /may not reference secrets \(via projected volumes\)/],
    [podText("volumes: [{name: v, persistentVolumeClaim: {claimName: x}}]"), /may not reference persistentvolumeclaims/],
  ])("refuses %s", (text, message) => expect(() => read(text)).toThrow(message));
});

async function directory(): Promise<AsyncDisposable & { readonly path: string; write(name: string, text: string): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "coracle-static-"));
  return {
    path,
    write: (name, text) => writeFile(join(path, name), text),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

describe("kubelet: static pods", () => {
  it("a bad file is reported and keeps no other from running; of two pods of a name the first runs", async () => {
    await using manifests = await directory();
    await manifests.write("a.yaml", podText(""));
    await manifests.write("b.yaml", podText("restartPolicy: Never"));
    await manifests.write("c.yaml", podText("serviceAccountName: x", "bad"));
    const lines: string[] = [];
    const logger = createLogger("kubelet", { write: (line) => void lines.push(line) });
    await using f = await startKubelet({ logger, options: { podManifestPath: manifests.path } });
    const mirror = await f.untilPhase(`web-${nodeName}`, "Running");
    expect(mirror.spec.restartPolicy).toBe("Always");
    expect(f.events.find((e) => e.reason === "FailedValidation")?.message).toMatch(/due to duplicate pod name "web-n1", ignoring$/);
    expect(lines.find((l) => l.includes("Can't process manifest file"))).toMatch(/c\.yaml.*static pods may not reference serviceaccounts/);
  });

  it("a changed pod starts when nothing is left of the one before", async () => {
    await using manifests = await directory();
    const slow = { onTerminate: "ignore" as const };
    await manifests.write("a.yaml", podText("terminationGracePeriodSeconds: 10"));
    const runtime = { behaviours: { "busybox:1": slow } };
    await using f = await startKubelet({ runtime, options: { podManifestPath: manifests.path } });
    await f.untilPhase(`web-${nodeName}`, "Running");
    const before = (await f.cri.listPodSandbox({})).items[0]?.id;
    await manifests.write("a.yaml", podText("terminationGracePeriodSeconds: 9"));
    let most = 0;
    await f.until(async () => {
      const { items } = await f.cri.listPodSandbox({});
      most = Math.max(most, items.length);
      return items.length === 1 && items[0]?.id !== before;
    });
    expect(most).toBe(1);
    await f.untilPhase(`web-${nodeName}`, "Running");
  });

  it("come from a URL too, asked with headers; what cannot be read leaves them as they are", async () => {
    let answer = { status: 200, text: podText("") };
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers["x-key"] as string | undefined);
      response.writeHead(answer.status).end(answer.text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const staticPodURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pods`;
    try {
      await using f = await startKubelet({ options: { staticPodURL, staticPodURLHeader: { "X-Key": ["secret"] } } });
      await f.untilPhase(`web-${nodeName}`, "Running");
      expect((await f.pod(`web-${nodeName}`))?.metadata.annotations?.["kubernetes.io/config.source"]).toBe("http");
      expect(asked[0]).toBe("secret");
      answer = { status: 500, text: "no" };
      const count = asked.length;
      await f.until(async () => asked.length > count);
      expect(await f.pod(`web-${nodeName}`)).toBeDefined();
      answer = { status: 200, text: "" };
      await f.until(async () => (await f.pod(`web-${nodeName}`)) === undefined);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
