import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inClusterConnection, loadKubeconfig } from "./kubeconfig.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kubeconfig-"));
});
afterEach(() => rm(folder, { recursive: true }));

const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const base64 = Buffer.from(pem).toString("base64");

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const config = (user: string, cluster = `server: https://10.0.0.1:6443`): string => `
apiVersion: v1
kind: Config
current-context: main
contexts:
- name: main
  context: { cluster: c, user: u, namespace: shop }
clusters:
- name: c
  cluster: { ${cluster} }
users:
- name: u
  user: { ${user} }
`;

describe("loadKubeconfig()", () => {
  it("resolves the current context", async () => {
    const path = await file(
      "config",
      config(
        `client-certificate-data: ${base64}, client-key-data: ${base64}`,
        `server: https://10.0.0.1:6443, certificate-authority-data: ${base64}`,
      ),
    );
    expect(await loadKubeconfig({ path })).toEqual({
      context: "main",
      namespace: "shop",
      server: "https://10.0.0.1:6443",
      caPem: pem,
      credentials: { kind: "certificate", certPem: pem, keyPem: pem },
    });
  });

  it("reads files beside the kubeconfig", async () => {
    await file("ca.crt", pem);
    const path = await file("config", config("tokenFile: token", "server: https://h, certificate-authority: ca.crt"));
    expect(await loadKubeconfig({ path })).toMatchObject({
      caPem: pem,
      credentials: { kind: "tokenFile", tokenFile: join(folder, "token") },
    });
  });

  it("keeps certificates in files as files, to follow their rotation", async () => {
    await file("me.crt", pem);
    await file("me.key", pem);
    const path = await file("config", config("client-certificate: me.crt, client-key: me.key"));
    expect((await loadKubeconfig({ path })).credentials).toEqual({
      kind: "certificateFiles",
      certFile: join(folder, "me.crt"),
      keyFile: join(folder, "me.key"),
    });
  });

  it("merges the files of KUBECONFIG, the first that names a thing winning", async () => {
    const first = await file("first", config("token: one"));
    const second = await file(
      "second",
      config("token: two").replace("name: u\n", "name: other\n").replace("current-context: main", "current-context: x"),
    );
    const env = { KUBECONFIG: `${join(folder, "missing")}:${first}:${second}` };
    expect((await loadKubeconfig({ env })).credentials).toEqual({ kind: "token", token: "one" });
  });

  it("names the file and the field of what is wrong", async () => {
    const fails = async (text: string, message: string, context?: string): Promise<void> => {
      const path = await file("config", text);
      await expect(loadKubeconfig({ path, ...(context ? { context } : {}) })).rejects.toThrow(`${path}: ${message}`);
    };
    await fails(config("token: 5"), "users[0].user.token: expected a string");
    await fails(config("token: t", ""), "clusters[0].cluster.server is required");
    await fails(config("exec: { command: aws }"), "users[0].user.exec: credential plugins are not supported");
    await fails(config(`client-certificate-data: ${base64}`), "users[0].user.client-key is required");
    await fails(config("client-key-data: AAAA"), "users[0].user.client-key-data: expected PEM in base64");
    await fails(
      config("token: t", "server: https://h, certificate-authority: no.crt"),
      `clusters[0].cluster.certificate-authority: reading ${join(folder, "no.crt")}`,
    );
    await fails(config("token: t").replace("cluster: c,", "cluster: z,"), 'contexts[0].context.cluster: cluster "z" does not exist');
    await fails(config("token: t"), 'context "nope" does not exist', "nope");
    await fails("contexts: 5", "contexts: expected a list");
    await fails("a: b: c", "the kubeconfig is neither YAML nor JSON");
    await expect(loadKubeconfig({ path: join(folder, "none") })).rejects.toThrow(`${join(folder, "none")}: the kubeconfig cannot be read`);
  });
});

describe("inClusterConnection()", () => {
  it("uses the service account's files", async () => {
    await file("ca.crt", pem);
    await file("namespace", "shop\n");
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    expect(await inClusterConnection({ env, folder })).toEqual({
      context: "in-cluster",
      namespace: "shop",
      server: "https://[fd00::1]:443",
      caPem: pem,
      credentials: { kind: "tokenFile", tokenFile: join(folder, "token") },
    });
  });

  it("is undefined outside a pod", async () => {
    expect(await inClusterConnection({ env: {}, folder })).toBeUndefined();
  });
});
