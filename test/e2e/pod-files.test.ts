// What a pod finds inside: environment, volumes, service account, network and name resolution, on real containers.
import { existsSync, writeFileSync } from "node:fs";
import { readdir, readFile, realpath } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configmaps, persistentvolumeclaims, persistentvolumes, pods } from "../../src/api/resources.generated.ts";
import type { Service } from "../../src/api/types/core-v1.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, statusOf, TestBed } from "../support/namespace.ts";
import { freePort, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`what pods find inside is not tried with real containers: ${reason}`);

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
const never = { restartPolicy: "Never" };

/** Of the pods that empty volumes: with the image of these tests, for nothing is pulled here. */
function recyclerTemplate(file: string): string {
  const container = shell('rm -r /scrub/* && test -z "$(ls -A /scrub)"', {
    volumeMounts: [{ name: "vol", mountPath: "/scrub" }],
  });
  const spec = { ...never, containers: [container], volumes: [{ name: "vol" }] };
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "recycler", namespace: "default" }, spec }));
  return file;
}

describe.runIf(reason === undefined)("inside of pods", { timeout: 120_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("files", ({ dataDir }) => [
      "--enable-hostpath-provisioner",
      `--pv-recycler-pod-template-filepath-hostpath=${recyclerTemplate(join(dataDir, "..", "recycler.json"))}`,
    ]);
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  describe("environment", () => {
    it("from values, ConfigMaps, Secrets, fields and resources", async () => {
      const ns = await bed.namespace("env");
      await ns.configMap("settings", { colour: "blue", "size.max": "9" });
      await ns.secret("login", { password: "sesame" });
      const env = [
        { name: "PLAIN", value: "one" },
        { name: "EXPANDED", value: "$(PLAIN)-$(MISSING)-$$(PLAIN)" },
        { name: "COLOUR", valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } } },
        { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "login", key: "password" } } },
        { name: "NONE", valueFrom: { secretKeyRef: { name: "login", key: "other", optional: true } } },
        field("POD_NAME", "metadata.name"),
        field("POD_LABEL", "metadata.labels['app']"),
        field("POD_IP", "status.podIP"),
        field("NODE", "spec.nodeName"),
        { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
        { name: "MEMORY", valueFrom: { resourceFieldRef: { resource: "requests.memory", divisor: "1Mi" } } },
      ];
      const envFrom = [{ prefix: "SET_", configMapRef: { name: "settings" } }, { secretRef: { name: "absent", optional: true } }];
      const resources = { requests: { memory: "24Mi" }, limits: { cpu: "250m", memory: "48Mi" } };
      await ns.pod("env", { ...shell("", { env, envFrom, resources }), command: ["/bin/env"] }, { ...never, labels: { app: "env-test" } });
      const log = await ns.output("env");
      const pod = await ns.getPod("env");
      const lines = new Map(
        log
          .trim()
          .split("\n")
          .map((l) => [l.slice(0, l.indexOf("=")), l.slice(l.indexOf("=") + 1)]),
      );
      expect(Object.fromEntries(lines)).toMatchObject({
        PLAIN: "one",
        EXPANDED: "one-$(MISSING)-$(PLAIN)",
        COLOUR: "blue",
        PASSWORD: "sesame",
        POD_NAME: "env",
        POD_LABEL: "env-test",
        POD_IP: pod.status?.podIP,
        NODE: pod.spec.nodeName,
        CPU: "250",
        MEMORY: "24",
        SET_colour: "blue",
        "SET_size.max": "9",
        HOSTNAME: "env",
        KUBERNETES_SERVICE_PORT: "443",
      });
      expect(lines.has("NONE")).toBe(false);
    });

    it("tells of the services of the namespace, unless service links are off", async () => {
      const ns = await bed.namespace("links");
      await ns.apply({ apiVersion: "v1", kind: "Service", metadata: { name: "my-db" }, spec: { ports: [{ port: 5432 }] } });
      const ip = (await ns.kubectl("get", "service", "my-db", "-o", "jsonpath={.spec.clusterIP}")).trim();
      let attempts = 0;
      // The kubelet may hear of the service a moment after the pod.
      await until("a pod with the service's variables", async () => {
        const name = `links-${attempts++}`;
        await ns.pod(name, shell("env"), never);
        return (await ns.output(name)).includes(`MY_DB_SERVICE_HOST=${ip}\n`);
      });
      await ns.pod("no-links", shell("env"), { ...never, enableServiceLinks: false });
      const log = await ns.output("no-links");
      expect(log).not.toMatch(/MY_DB/);
      expect(log).toMatch(/KUBERNETES_SERVICE_HOST=/);
    });

    it("a missing ConfigMap is CreateContainerConfigError until it is there", async () => {
      const ns = await bed.namespace("missing");
      const env = [{ name: "COLOUR", valueFrom: { configMapKeyRef: { name: "late", key: "colour" } } }];
      await ns.pod("waits", shell("echo $COLOUR", { env }), never);
      const pod = await ns.untilWaiting("waits", "CreateContainerConfigError");
      expect(statusOf(pod)?.state?.waiting?.message).toBe('configmap "late" not found');
      await ns.untilEvent("waits", /Warning Failed: Error: configmap "late" not found/);
      await ns.configMap("late", { other: "x" });
      await ns.untilPod("waits", "misses the key", (p) =>
        /couldn't find key colour in ConfigMap missing\/late/.test(statusOf(p)?.state?.waiting?.message ?? ""),
      );
      await ns.kubectl("patch", "configmap", "late", "-p", '{"data":{"colour":"green"}}');
      expect(await ns.output("waits")).toBe("green\n");
    });
  });

  describe("volumes", () => {
    it("emptyDir on disk and in memory, shared by containers and gone with the pod", async () => {
      const ns = await bed.namespace("empty-dir");
      const volumeMounts = [
        { name: "disk", mountPath: "/disk" },
        { name: "ram", mountPath: "/ram" },
      ];
      const reader = shell("until [ -f /ram/x ]; do sleep 0.1; done; cat /disk/x /ram/x; grep ' /ram ' /proc/mounts", {
        name: "reader",
        volumeMounts,
      });
      await ns.pod("shared", [shell("echo on disk > /disk/x; echo in memory > /ram/x", { volumeMounts }), reader], {
        ...never,
        volumes: [
          { name: "disk", emptyDir: {} },
          { name: "ram", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
        ],
      });
      expect(await ns.output("shared", "reader")).toMatch(/^on disk\nin memory\ntmpfs \/ram tmpfs .*size=1024k/);
    });

    it("hostPath of the node: a directory that is made, a file, and the wrong type", async () => {
      const ns = await bed.namespace("host-path");
      const directory = join(bed.cluster.dataDir, "shared-with-pods");
      const volume = (name: string, path: string, type: string) => ({ name, hostPath: { path, type } });
      const mount = (name: string) => ({ volumeMounts: [{ name, mountPath: "/host" }] });
      await ns.pod("made", shell("echo hello > /host/greeting", mount("v")), {
        ...never,
        volumes: [volume("v", directory, "DirectoryOrCreate")],
      });
      await ns.untilPhase("made", "Succeeded");
      expect(await readFile(join(directory, "greeting"), "utf8")).toBe("hello\n");
      await ns.pod("wrong", shell("true", mount("v")), { ...never, volumes: [volume("v", join(directory, "greeting"), "Directory")] });
      await ns.untilEvent(
        "wrong",
        /Warning FailedMount: MountVolume.SetUp failed for volume "v" : hostPath type check failed: .*greeting is not a directory/,
      );
    });

    it("a ConfigMap: files, items, modes, and its updates", async () => {
      const ns = await bed.namespace("config");
      await ns.configMap("settings", { "a.conf": "one", "b.conf": "two" });
      const volumeMounts = [
        { name: "all", mountPath: "/all" },
        { name: "some", mountPath: "/some" },
      ];
      await ns.pod("reader", shell(idle, { volumeMounts }), {
        volumes: [
          { name: "all", configMap: { name: "settings", defaultMode: 0o440 } },
          { name: "some", configMap: { name: "settings", items: [{ key: "b.conf", path: "deep/b", mode: 0o400 }] } },
        ],
      });
      await ns.untilReady("reader");
      expect(await ns.exec("reader", "cd /all; ls; cat a.conf; stat -L -c %a a.conf")).toBe("a.conf\nb.conf\none440\n");
      expect(await ns.exec("reader", "cd /some; find . -type f -o -type l | grep -v '\\.\\.'; cat deep/b; stat -L -c %a deep/b")).toBe(
        "./deep\ntwo400\n",
      );
      await bed.client.patch(configmaps, { namespace: ns.name, name: "settings" }, { data: { "a.conf": "changed" } }, { type: "merge" });
      await until("the file is updated", async () => (await ns.exec("reader", "cat /all/a.conf")) === "changed", 100_000);
    });

    it("a Secret, in memory; an optional one that is missing; one that must be there", async () => {
      const ns = await bed.namespace("secret");
      await ns.secret("key", { key: "sesame" });
      const mount = (name: string) => ({ volumeMounts: [{ name, mountPath: `/${name}`, readOnly: true }] });
      const script = "cat /key/key; echo; stat -L -c %a /key/key; grep -c '^tmpfs /key ' /proc/mounts; touch /key/x";
      await ns.pod("keeper", shell(`${script} 2>&1`, mount("key")), {
        ...never,
        volumes: [{ name: "key", secret: { secretName: "key", defaultMode: 0o400 } }],
      });
      expect(await ns.output("keeper")).toBe("sesame\n400\n1\ntouch: /key/x: Read-only file system\n");
      await ns.pod("optional", shell("ls /none | wc -l", mount("none")), {
        ...never,
        volumes: [{ name: "none", secret: { secretName: "none", optional: true } }],
      });
      expect(await ns.output("optional")).toBe("0\n");
      await ns.pod("lacking", shell("cat /late/key", mount("late")), {
        ...never,
        volumes: [{ name: "late", secret: { secretName: "late" } }],
      });
      await ns.untilEvent("lacking", /Warning FailedMount: MountVolume.SetUp failed for volume "late" : secret "late" not found/);
      await ns.secret("late", { key: "at last" });
      expect(await ns.output("lacking")).toBe("at last");
    });

    it("subPath of a volume, and with variables", async () => {
      const ns = await bed.namespace("sub-path");
      await ns.configMap("settings", { "a.conf": "one" });
      const volumeMounts = [
        { name: "config", mountPath: "/etc/a.conf", subPath: "a.conf" },
        { name: "data", mountPath: "/own", subPathExpr: "pods/$(NAME)" },
        { name: "data", mountPath: "/data" },
      ];
      const script = "cat /etc/a.conf; echo; echo mine > /own/x; cat /data/pods/sub/x";
      await ns.pod("sub", shell(script, { volumeMounts, env: [field("NAME", "metadata.name")] }), {
        ...never,
        volumes: [
          { name: "config", configMap: { name: "settings" } },
          { name: "data", emptyDir: {} },
        ],
      });
      expect(await ns.output("sub")).toBe("one\nmine\n");
    });

    it("downwardAPI: labels and limits, and labels that change", async () => {
      const ns = await bed.namespace("downward");
      const items = [
        { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
        { path: "cpu", resourceFieldRef: { containerName: "main", resource: "limits.cpu", divisor: "1m" } },
      ];
      await ns.pod("aware", shell(idle, { volumeMounts: [{ name: "info", mountPath: "/info" }], resources: { limits: { cpu: "100m" } } }), {
        labels: { colour: "red" },
        volumes: [{ name: "info", downwardAPI: { items } }],
      });
      await ns.untilReady("aware");
      expect(await ns.exec("aware", "cat /info/labels; echo; cat /info/cpu")).toBe('colour="red"\n100');
      await ns.kubectl("label", "pod", "aware", "colour=blue", "--overwrite");
      await until("the new label", async () => (await ns.exec("aware", "cat /info/labels")) === 'colour="blue"', 100_000);
    });

    it("projected: several sources in one directory", async () => {
      const ns = await bed.namespace("projected");
      await ns.configMap("settings", { colour: "blue" });
      await ns.secret("login", { password: "sesame" });
      const sources = [
        { configMap: { name: "settings" } },
        { secret: { name: "login", items: [{ key: "password", path: "secret/password" }] } },
        { downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
      ];
      await ns.pod("all", shell("cd /all; cat colour secret/password name", { volumeMounts: [{ name: "all", mountPath: "/all" }] }), {
        ...never,
        volumes: [{ name: "all", projected: { sources } }],
      });
      expect(await ns.output("all")).toBe("bluesesameall");
    });

    it("a PersistentVolume of the node, bound to a claim, keeps its data from pod to pod", async () => {
      const ns = await bed.namespace("claims");
      const path = join(bed.cluster.dataDir, "volume");
      const storage = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
      await bed.cluster.apply({
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name: "by-hand" },
        spec: {
          ...storage,
          capacity: { storage: "1Gi" },
          hostPath: { path, type: "DirectoryOrCreate" },
          persistentVolumeReclaimPolicy: "Retain",
        },
      });
      await ns.apply({
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "claim", annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
        spec: { ...storage, volumeName: "by-hand", resources: { requests: { storage: "1Gi" } } },
      });
      // Bound by hand, as administrators do it; a binder in the cluster would have found the same.
      const {
        metadata: { uid },
      } = await bed.client.get(persistentvolumeclaims, { namespace: ns.name, name: "claim" });
      const bound = { type: "merge", subresource: "status" } as const;
      await bed.client.patch(
        persistentvolumes,
        { name: "by-hand" },
        { spec: { claimRef: { namespace: ns.name, name: "claim", uid } } },
        { type: "merge" },
      );
      await bed.client.patch(persistentvolumes, { name: "by-hand" }, { status: { phase: "Bound" } }, bound);
      await bed.client.patch(persistentvolumeclaims, { namespace: ns.name, name: "claim" }, { status: { phase: "Bound" } }, bound);
      const fields = { ...never, volumes: [{ name: "data", persistentVolumeClaim: { claimName: "claim" } }] };
      const mount = { volumeMounts: [{ name: "data", mountPath: "/data" }] };
      await ns.pod("writer", shell("echo kept > /data/x", mount), fields);
      await ns.untilPhase("writer", "Succeeded");
      await ns.kubectl("delete", "pod", "writer");
      await ns.pod("reader", shell("cat /data/x", mount), fields);
      expect(await ns.output("reader")).toBe("kept\n");
      expect(await bed.cluster.kubectl("get", "pv", "by-hand", "--no-headers")).toMatch(/Bound +claims\/claim/);
    });
  });

  describe("volumes whose claim is gone", () => {
    const claimOf = (namespace: string, storageClassName: string) => ({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "claim", namespace },
      spec: { storageClassName, accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    });
    const mount = { volumeMounts: [{ name: "data", mountPath: "/data" }] };
    const fields = { ...never, volumes: [{ name: "data", persistentVolumeClaim: { claimName: "claim" } }] };

    it("are emptied by a pod and free again (Recycle)", async () => {
      const ns = await bed.namespace("recycled");
      const path = join(bed.cluster.dataDir, "..", "recycled");
      await bed.cluster.apply(
        {
          apiVersion: "v1",
          kind: "PersistentVolume",
          metadata: { name: "recycled" },
          spec: {
            storageClassName: "recycled",
            capacity: { storage: "1Gi" },
            accessModes: ["ReadWriteOnce"],
            persistentVolumeReclaimPolicy: "Recycle",
            hostPath: { path, type: "DirectoryOrCreate" },
          },
        },
        claimOf(ns.name, "recycled"),
      );
      await ns.pod("writer", shell("mkdir -p /data/a/b && echo secret > /data/a/b/.x", mount), fields);
      await ns.untilPhase("writer", "Succeeded");
      expect(await readdir(path)).toEqual(["a"]);
      await ns.kubectl("delete", "pod", "writer");
      await ns.kubectl("delete", "pvc", "claim");
      const phase = () => bed.cluster.kubectl("get", "pv", "recycled", "-o", "jsonpath={.status.phase} {.spec.claimRef.name}");
      await until("the volume is available again", async () => (await phase()).trim() === "Available");
      expect(await readdir(path)).toEqual([]);
      const told = await until("the event about it", async () => {
        const text = await bed.cluster.kubectl("get", "events", "--field-selector=involvedObject.name=recycled");
        return text.includes("VolumeRecycled") ? text : undefined;
      });
      expect(told).toMatch(/Normal +VolumeRecycled +persistentvolume\/recycled +Volume recycled/);
    });

    it("are deleted with their directory, where it was made for the claim (Delete)", async () => {
      const ns = await bed.namespace("made");
      await bed.cluster.apply(
        { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: "made" }, provisioner: "kubernetes.io/host-path" },
        claimOf(ns.name, "made"),
      );
      await ns.pod("writer", shell("echo kept > /data/x", mount), fields);
      await ns.untilPhase("writer", "Succeeded");
      const { spec } = await bed.client.get(persistentvolumeclaims, { namespace: ns.name, name: "claim" });
      const volume = await bed.client.get(persistentvolumes, { name: spec?.volumeName ?? "" });
      const path = volume.spec?.hostPath?.path ?? "";
      expect(await readFile(join(path, "x"), "utf8")).toBe("kept\n");
      await ns.kubectl("delete", "pod", "writer");
      await ns.kubectl("delete", "pvc", "claim");
      const volumes = () => bed.client.list(persistentvolumes);
      await until("the volume is gone", async () => !(await volumes()).items.some(({ metadata }) => metadata.name === spec?.volumeName));
      expect(existsSync(path)).toBe(false);
    });
  });

  describe("service account", () => {
    it("the token of a pod is that of its account, bound to it, and opens the API from inside", async () => {
      const ns = await bed.namespace("account");
      await ns.kubectl("create", "serviceaccount", "robot");
      await ns.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods");
      await ns.kubectl("create", "rolebinding", "robot-reads", "--role=reader", "--serviceaccount=account:robot");
      const kubectl = await realpath((await findExecutable("kubectl")) ?? "");
      const env = [field("KUBERNETES_SERVICE_HOST", "status.hostIP"), { name: "KUBERNETES_SERVICE_PORT", value: String(bed.cluster.port) }];
      await ns.pod("robot", shell(idle, { env, volumeMounts: [{ name: "kubectl", mountPath: "/bin/kubectl" }] }), {
        serviceAccountName: "robot",
        volumes: [{ name: "kubectl", hostPath: { path: kubectl, type: "File" } }],
      });
      const pod = await ns.untilReady("robot");
      const directory = "/var/run/secrets/kubernetes.io/serviceaccount";
      const [token = "", namespace, ca = ""] = await Promise.all(
        ["token", "namespace", "ca.crt"].map((f) => ns.exec("robot", `cat ${directory}/${f}`)),
      );
      expect(namespace).toBe("account");
      expect(ca).toMatch(/BEGIN CERTIFICATE/);
      const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } };
      const answer = await bed.client.raw("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { body: review });
      expect(answer).toMatchObject({
        status: {
          authenticated: true,
          user: {
            username: "system:serviceaccount:account:robot",
            groups: ["system:serviceaccounts", "system:serviceaccounts:account", "system:authenticated"],
            extra: { "authentication.kubernetes.io/pod-name": ["robot"], "authentication.kubernetes.io/pod-uid": [pod.metadata.uid] },
          },
        },
      });
      // The node's kubectl inside of the pod, which knows nothing but what the pod was given.
      expect(await ns.exec("robot", "kubectl get pods -o name")).toBe("pod/robot\n");
      expect(await ns.exec("robot", "kubectl get secrets 2>&1 || true")).toMatch(
        /Error from server \(Forbidden\): secrets is forbidden: User "system:serviceaccount:account:robot" cannot list resource "secrets"/,
      );
    });

    it("automountServiceAccountToken: false leaves a pod without one", async () => {
      const ns = await bed.namespace("no-token");
      await ns.pod("bare", shell("ls /var/run/secrets 2>&1"), { ...never, automountServiceAccountToken: false });
      expect(await ns.output("bare")).toMatch(/No such file or directory/);
    });
  });

  describe("network", () => {
    it("pods reach each other and are reached from the node by address", async () => {
      const ns = await bed.namespace("traffic");
      await ns.pod(
        "server",
        shell("mkdir /www; echo served > /www/index.html; exec httpd -f -p 8080 -h /www", {
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        }),
      );
      const { status } = await ns.untilReady("server");
      const url = `http://${status?.podIP}:8080/`;
      await ns.pod("client", shell(`wget -q -O - ${url}`), never);
      expect(await ns.output("client")).toBe("served\n");
      expect(await (await fetch(url)).text()).toBe("served\n");
      expect(
        await bed.client.raw("GET", "/api/v1/namespaces/traffic/pods/server:8080/proxy/", { accept: "*/*" }).catch((e: Error) => e.message),
      ).toMatch(/served/);
    });

    it("hostNetwork is the node's own, hostPort leads to a pod", async () => {
      const ns = await bed.namespace("host-net");
      const [listening, hostPort] = [await freePort(), await freePort()];
      const server = createServer((_, response) => void response.end("from the node"));
      await new Promise<void>((resolve) => server.listen(listening, "127.0.0.1", resolve));
      try {
        await ns.pod("on-host", shell(`wget -q -O - http://127.0.0.1:${listening}/`), { ...never, hostNetwork: true });
        expect(await ns.output("on-host")).toBe("from the node");
        const pod = await ns.getPod("on-host");
        expect(pod.status?.podIP).toBe(pod.status?.hostIP);
      } finally {
        server.close();
      }
      const script = "mkdir /www; echo behind the port > /www/index.html; exec httpd -f -p 80 -h /www";
      await ns.pod("port", shell(script, { ports: [{ containerPort: 80, hostPort }] }));
      const { status } = await ns.untilReady("port");
      const text = await until("an answer", async () => (await fetch(`http://${status?.hostIP}:${hostPort}/`)).text());
      expect(text).toBe("behind the port\n");
    });

    it("dnsPolicy: the cluster's DNS before all, or the node's resolvers alone", async () => {
      const ns = await bed.namespace("resolver");
      const policies = {
        plain: {},
        node: { dnsPolicy: "Default" },
        host: { hostNetwork: true },
        both: { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" },
      };
      for (const [name, fields] of Object.entries(policies)) await ns.pod(name, shell("cat /etc/resolv.conf"), { ...never, ...fields });
      const dns = await bed.cluster.get<Service>("-n", "kube-system", "service", "kube-dns");
      const nameservers = (text: string) => text.split("\n").filter((line) => line.startsWith("nameserver"));
      const ofNode = nameservers(await readFile("/etc/resolv.conf", "utf8")).slice(0, 3);
      const ofCluster = [`nameserver ${dns.spec?.clusterIP}`];
      const found = await Promise.all(Object.keys(policies).map(async (name) => [name, nameservers(await ns.output(name))]));
      expect(Object.fromEntries(found)).toEqual({ plain: ofCluster, node: ofNode, host: ofNode, both: ofCluster });
    });

    it("hosts and resolver: hostname, hostAliases, dnsPolicy None and its options", async () => {
      const ns = await bed.namespace("names");
      const dnsConfig = { nameservers: ["192.0.2.53"], searches: ["example.test"], options: [{ name: "ndots", value: "3" }] };
      await ns.pod("names", shell("hostname; cat /etc/hosts /etc/resolv.conf"), {
        ...never,
        hostname: "called",
        subdomain: "other",
        hostAliases: [{ ip: "192.0.2.7", hostnames: ["seven", "sieben"] }],
        dnsPolicy: "None",
        dnsConfig,
      });
      const log = await ns.output("names");
      const pod = await bed.client.get(pods, { namespace: ns.name, name: "names" });
      expect(log).toMatch(/^called\n/);
      expect(log).toContain(`${pod.status?.podIP}\tcalled.other.names.svc.cluster.local\tcalled\n`);
      expect(log).toContain("192.0.2.7\tseven\tsieben\n");
      expect(log).toMatch(/search example\.test\nnameserver 192\.0\.2\.53\noptions ndots:3\n$/);
    });
  });
});
