import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadKubeconfig, readKubeconfig } from "../../client/kubeconfig.ts";
import { kubeconfigText } from "./kubeconfig.ts";
import { requireWritableKubeconfig, writeUsersKubeconfig } from "./users-kubeconfig.ts";

const options = {
  ...{ server: "https://127.0.0.1:6443", authority: "-----BEGIN AUTHORITY", user: "kubernetes-admin" },
  credentials: { certificate: "-----BEGIN CERTIFICATE", key: "-----BEGIN KEY" },
};
const others = `apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: kubernetes-admin, user: {token: secret}}]
contexts: [{name: kubernetes-admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}]
current-context: kubernetes-admin@kubernetes
`;

describe("writeUsersKubeconfig()", () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "kubeconfig-"));
    path = join(directory, "config");
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const contexts = async () => [...(await readKubeconfig({ path })).contexts.keys()];

  it("writes our cluster alone where there is no file, for its owner only", async () => {
    await writeUsersKubeconfig(path, options);
    expect(await readFile(path, "utf8")).toBe(kubeconfigText(options));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("keeps what was set in our context, and brings the rest of it up to date", async () => {
    await writeFile(
      path,
      kubeconfigText(options).replace('user: "kubernetes-admin"\ncurrent', 'user: "kubernetes-admin"\n    namespace: shop\ncurrent'),
    );
    await writeUsersKubeconfig(path, { ...options, authority: "ANOTHER" });
    const text = await readFile(path, "utf8");
    expect(text).toContain("namespace: shop");
    expect(text).toContain(Buffer.from("ANOTHER").toString("base64"));
    expect(text).not.toContain(Buffer.from(options.authority).toString("base64"));
    expect(await contexts()).toEqual(["kubernetes-admin@kubernetes"]);
  });

  it("leaves another cluster of the same name as it is, and is the current one under its own name", async () => {
    await writeFile(path, others);
    for (const _ of [1, 2]) await writeUsersKubeconfig(path, options);
    expect(await contexts()).toEqual(["kubernetes-admin@kubernetes", "coracle-admin@coracle"]);
    expect((await readKubeconfig({ path })).currentContext).toBe("coracle-admin@coracle");
    expect((await loadKubeconfig({ path })).server).toBe("https://127.0.0.1:6443");
    expect((await loadKubeconfig({ path, context: "kubernetes-admin@kubernetes" })).server).toBe("https://192.0.2.1:6443");
  });

  it("writes through a link, and refuses a file that is something else", async () => {
    await writeFile(join(directory, "real"), others);
    await symlink(join(directory, "real"), path);
    await writeUsersKubeconfig(path, options);
    expect(await readFile(join(directory, "real"), "utf8")).toContain("coracle-admin");
    await writeFile(path, "- a list\n");
    await expect(writeUsersKubeconfig(path, options)).rejects.toThrow("expected a kubeconfig");
  });
});

describe("requireWritableKubeconfig()", () => {
  it("makes the directory, and names the flag where that cannot be", async () => {
    const directory = await mkdtemp(join(tmpdir(), "kubeconfig-"));
    try {
      await requireWritableKubeconfig(join(directory, ".kube", "config"));
      expect((await stat(join(directory, ".kube"))).isDirectory()).toBe(true);
      await mkdir(join(directory, "taken"));
      await expect(requireWritableKubeconfig(join(directory, "taken"))).rejects.toThrow(`--kubeconfig ${directory}/taken`);
      await expect(requireWritableKubeconfig("/proc/nothing/config")).rejects.toThrow("--kubeconfig /proc/nothing/config");
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
