import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseFlags } from "../../base/flags.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { controllerManagerFlags, ignoredFlags } from "./controller-manager-flags.ts";
import { controllerManagerOptions } from "./controller-manager-options.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-manager-"));
});
afterAll(() => rm(directory, { recursive: true }));

const valuesOf = (...args: string[]) => parseFlags(controllerManagerFlags, args).values;
const optionsOf = (...args: string[]) => controllerManagerOptions(valuesOf(...args));

async function writeAuthority(name: string): Promise<{ readonly cert: string; readonly key: string }> {
  const { publicKey, privateKey } = generateKey();
  const subject = { commonName: name, organizations: [] };
  const validity = { notBeforeMs: 0, notAfterMs: 2e12, keyUsages: ["certSign"] as const, isAuthority: true };
  const certificate = issueCertificate({ subject, publicKey, ...validity }, { key: privateKey });
  const [cert, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  await writeFile(cert, certificatePem(certificate));
  await writeFile(key, privateKeyPem(privateKey), { mode: 0o600 });
  return { cert, key };
}

describe("controllerManagerOptions()", () => {
  it("starts with what kubeadm writes into its manifest", async () => {
    const { cert, key } = await writeAuthority("cluster");
    const args = [
      "--allocate-node-cidrs=true",
      "--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf",
      "--authorization-kubeconfig=/etc/kubernetes/controller-manager.conf",
      "--bind-address=127.0.0.1",
      `--client-ca-file=${cert}`,
      "--cluster-cidr=10.244.0.0/16",
      "--cluster-name=kubernetes",
      `--cluster-signing-cert-file=${cert}`,
      `--cluster-signing-key-file=${key}`,
      "--controllers=*,bootstrapsigner,tokencleaner",
      "--kubeconfig=/etc/kubernetes/controller-manager.conf",
      "--leader-elect=true",
      `--requestheader-client-ca-file=${cert}`,
      `--root-ca-file=${cert}`,
      "--service-account-private-key-file=/etc/kubernetes/pki/sa.key",
      "--service-cluster-ip-range=10.96.0.0/12",
      "--use-service-account-credentials=true",
    ];
    const options = await optionsOf(...args);
    expect(options).toMatchObject({ clusterCidrs: ["10.244.0.0/16"], serviceCidrs: ["10.96.0.0/12"] });
    expect(options.rootCaPem).toContain("BEGIN CERTIFICATE");
    expect(options.clusterSigning).toBeDefined();
    expect(ignoredFlags(valuesOf(...args))).toContain("service-account-private-key-file");
  });

  it("has upstream's numbers of workers, and those that are asked for", async () => {
    const { concurrency } = await optionsOf("--concurrent-deployment-syncs=17", "--concurrent_rc_syncs", "3");
    expect(concurrency).toMatchObject({
      "deployment-controller": 17,
      "replicationcontroller-controller": 3,
      "daemonset-controller": 2,
      "garbage-collector-controller": 20,
    });
    expect((await optionsOf("--concurrent-rc-syncs=4")).concurrency).toMatchObject({ "replicationcontroller-controller": 4 });
    expect(() => valuesOf("--concurrent-job-syncs=0")).toThrow("--concurrent-job-syncs: expected a whole number from 1");
  });

  it("takes the last of several ranges that are given, as upstream", async () => {
    const options = await optionsOf("--cluster-cidr=10.0.0.0/16", "--cluster-cidr=10.1.0.0/16,fd00::/56");
    expect(options.clusterCidrs).toEqual(["10.1.0.0/16", "fd00::/56"]);
  });

  it("hands on what is said about endpoints, quotas and volumes", async () => {
    const options = await optionsOf(
      "--max-endpoints-per-slice=50",
      "--mirroring-max-endpoints-per-subset=20",
      "--endpointslice-updates-batch-period=500ms",
      "--resource-quota-sync-period=1m",
      "--disable-force-detach-on-timeout",
    );
    expect(options).toMatchObject({
      endpoints: { maxPerSlice: 50, maxMirroredPerSubset: 20, batchMs: 0, sliceBatchMs: 500, mirroringBatchMs: 0 },
      resourceQuotaSyncPeriodMs: 60_000,
      forceDetachOnTimeout: false,
    });
    expect(() => valuesOf("--max-endpoints-per-slice=1001")).toThrow("expected a whole number from 1 to 1000");
  });

  it("refuses what it cannot be, and takes what makes no difference", () => {
    expect(() => valuesOf("--enable-leader-migration")).toThrow("there is no cloud-controller-manager to migrate to");
    expect(() => valuesOf("--emulated-version=1.35")).toThrow("expected 1.36: no other version is emulated");
    const values = valuesOf("--emulated-version=kube=1.36", "--enable-leader-migration=false", "--log-flush-frequency=5s", "--cert-dir=/x");
    expect(ignoredFlags(values)).toEqual(["cert-dir", "log-flush-frequency"]);
  });

  it("takes an authority for a single signer", async () => {
    const { cert, key } = await writeAuthority("kubelets");
    const only = await optionsOf(
      `--cluster-signing-kubelet-serving-cert-file=${cert}`,
      `--cluster-signing-kubelet-serving-key-file=${key}`,
    );
    expect(Object.keys(only.clusterSigningFor ?? {})).toEqual(["kubernetes.io/kubelet-serving"]);
    expect(only.clusterSigning).toBeUndefined();
    await expect(optionsOf(`--cluster-signing-legacy-unknown-cert-file=${cert}`)).rejects.toThrow(
      "--cluster-signing-legacy-unknown-cert-file and --cluster-signing-legacy-unknown-key-file belong together",
    );
  });

  it("refuses ranges that cannot be, naming the flag", async () => {
    await expect(optionsOf("--cluster-cidr=ten")).rejects.toThrow("--cluster-cidr ten: expected an address range");
    await expect(optionsOf("--cluster-cidr=10.0.0.0/8,10.1.0.0/16")).rejects.toThrow("one range of each family");
    await expect(optionsOf("--cluster-cidr=10.0.0.0/25")).rejects.toThrow("must be from 25 to 32, not 24");
    await expect(optionsOf("--cluster-cidr=10.0.0.0/7")).rejects.toThrow("must be from 7 to 23, not 24");
    await expect(optionsOf("--service-cluster-ip-range=x")).rejects.toThrow("--service-cluster-ip-range x");
  });
});
