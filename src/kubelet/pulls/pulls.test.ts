// Pulling images: who may have one that is here, programs that give credentials, how many pulls may begin.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { container, startKubelet } from "../../testing/kubelet-fixture.ts";
import { CredentialPlugins } from "./credential-plugins.ts";
import { type CredentialProvider, readCredentialProviders } from "./credential-provider-config.ts";
import { matchesImage } from "./match-image.ts";
import { type TrackedCredential, trackedCredential } from "./pull-credentials.ts";
import { PullRate } from "./pull-rate.ts";
import { PullRecords } from "./pull-records.ts";
import { PullVerification, type VerificationPolicy } from "./pull-verification.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-pulls-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const image = "r.example/app:1";
const imageRef = "sha256:1";

function secret(name: string, password: string): TrackedCredential {
  return trackedCredential({ username: "u", password }, { secret: { uid: `uid-${name}`, namespace: "default", name } });
}

function verification(policy: VerificationPolicy = "NeverVerifyPreloadedImages", allowlist: readonly string[] = []): PullVerification {
  const cri = { imageStatus: async () => ({ image: { id: imageRef } }) } as unknown as CriRuntime; // all that is asked of it
  const deps = { records: new PullRecords(directory), cri, clock: new VirtualClock(), logger: silentLogger };
  return new PullVerification(deps, { policy, allowlist });
}

async function pulled(by: PullVerification, used: TrackedCredential | undefined): Promise<void> {
  await by.begin(image);
  await by.end(image, { imageRef, used });
}

const mustPull = (by: PullVerification, ...own: TrackedCredential[]): Promise<boolean> => by.mustPull(image, imageRef, async () => own);

describe("PullVerification", () => {
  it("images that the kubelet did not pull are everybody's", async () => {
    expect(await mustPull(verification())).toBe(false);
    expect(await mustPull(verification("AlwaysVerify"))).toBe(true);
    expect(await mustPull(verification("NeverVerifyAllowlistedImages", ["r.example/*"]))).toBe(false);
    expect(await mustPull(verification("NeverVerifyAllowlistedImages", ["r.example/other"]))).toBe(true);
  });

  it("images pulled without credentials, or with the node's, are everybody's", async () => {
    await pulled(verification(), undefined);
    expect(await mustPull(verification())).toBe(false);
  });

  it("records of images that are gone are removed, but those that are newer than the look", async () => {
    await pulled(verification(), undefined);
    const names = (): Promise<readonly string[]> => readdir(join(directory, "image_manager/pulled"));
    const records = new PullRecords(directory);
    await records.prune(new Set(), 0);
    const [kept = ""] = await names();
    const { imageRef } = JSON.parse(await readFile(join(directory, "image_manager/pulled", kept), "utf8"));
    await records.prune(new Set([imageRef]), Number.MAX_SAFE_INTEGER);
    expect(await names()).toEqual([kept]);
    await records.prune(new Set(["other"]), Number.MAX_SAFE_INTEGER);
    expect([await names(), await records.pulled(imageRef)]).toEqual([[], undefined]);
  });

  it("images pulled with a secret are for those who have it, or the same in another one; also after a restart", async () => {
    await pulled(verification(), secret("a", "1"));
    const later = verification();
    expect(await mustPull(later)).toBe(true);
    expect(await mustPull(later, secret("b", "2"))).toBe(true);
    expect(await mustPull(later, secret("a", "1"))).toBe(false);
    expect(await mustPull(later, secret("c", "1"))).toBe(false);
    // The same secret with other contents: someone who could write it could read it.
    expect(await mustPull(later, secret("a", "3"))).toBe(false);
    expect(await mustPull(verification("NeverVerify"))).toBe(false);
    const [file = ""] = await readdir(join(directory, "image_manager/pulled"));
    expect(file).toMatch(/^sha256-[0-9a-f]{64}$/);
    const record = JSON.parse(await readFile(join(directory, "image_manager/pulled", file), "utf8"));
    expect(record).toMatchObject({ kind: "ImagePulledRecord", apiVersion: "kubelet.config.k8s.io/v1beta1", imageRef });
    expect(Object.keys(record.credentialMapping)).toEqual(["r.example/app"]);
    expect(JSON.stringify(record)).not.toContain('"password"');
  });

  it("a pull whose end nobody saw counts as the kubelet's, with nobody's credentials", async () => {
    await verification().begin(image);
    const later = verification();
    expect(await mustPull(later, secret("a", "1"))).toBe(true);
    expect(await readdir(join(directory, "image_manager/pulling"))).toEqual([]);
  });

  it("a failed pull leaves nothing", async () => {
    const own = verification();
    await own.begin(image);
    await own.end(image, undefined);
    expect(await mustPull(own)).toBe(false);
    expect(await readdir(join(directory, "image_manager/pulling"))).toEqual([]);
  });
});

describe("PullVerification: several pods that pull one image at once", () => {
  const intents = (): Promise<readonly string[]> => readdir(join(directory, "image_manager/pulling"));
  const nine = Array.from({ length: 9 });

  it("leave nothing when all fail, so that an image imported afterwards is everybody's", async () => {
    const own = verification();
    await Promise.all(
      nine.map(async () => {
        await own.begin(image);
        await own.end(image, undefined);
      }),
    );
    expect(await intents()).toEqual([]);
    expect(await mustPull(own)).toBe(false);
  });

  it("keep the intent while one of them pulls", async () => {
    const own = verification();
    await Promise.all(nine.map(() => own.begin(image)));
    await Promise.all(nine.slice(1).map(() => own.end(image, undefined)));
    expect(await intents()).toHaveLength(1);
    expect(await mustPull(own)).toBe(true);
    await Promise.all([own.end(image, undefined), own.begin(image)]);
    expect(await intents()).toHaveLength(1);
    await own.end(image, undefined);
    expect(await intents()).toEqual([]);
  });

  it("are not counted where the intent could not be written", async () => {
    const file = join(directory, "image_manager");
    await writeFile(file, "in the way");
    const own = verification();
    await expect(own.begin(image)).rejects.toThrow(/ENOTDIR|EEXIST/);
    await rm(file);
    expect(await mustPull(own)).toBe(false);
  });
});

describe("matchesImage()", () => {
  it.each([
    ["r.example", "r.example/app:1", true],
    ["*.example", "r.example/app:1", true],
    ["*.example", "a.r.example/app:1", false],
    ["*.*.example", "a.r.example/app", true],
    ["r.example/team", "r.example/team/app", true],
    ["r.example/team", "r.example/teams/app", false],
    ["r.example:5000", "r.example/app", false],
    ["https://index.docker.io/v1/", "nginx", true],
  ])("%s for %s: %s", (pattern, name, expected) => expect(matchesImage(pattern, name)).toBe(expected));
});

describe("PullRate", () => {
  it("lets a burst pass, and then so many a second", async () => {
    const clock = new VirtualClock();
    const rate = new PullRate(clock, { perSecond: 2, burst: 3 });
    for (let i = 0; i < 3; i++) rate.take();
    expect(() => rate.take()).toThrow("pull QPS exceeded");
    await clock.advance(500);
    rate.take();
    expect(() => rate.take()).toThrow("pull QPS exceeded");
  });
});

describe("credential programs", () => {
  const pod = {
    metadata: { name: "web", namespace: "default", uid: "u" },
    spec: { serviceAccountName: "robot", containers: [] },
  } as unknown as Pod; // as far as it matters

  async function plugins(
    script: string,
    more: Partial<CredentialProvider> = {},
  ): Promise<{ plugins: CredentialPlugins; clock: VirtualClock }> {
    const program = join(directory, "helper");
    await writeFile(program, `#!/bin/sh\ncat > ${directory}/request\necho run >> ${directory}/runs\n${script}\n`);
    await chmod(program, 0o755);
    const provider: CredentialProvider = {
      ...{ name: "helper", matchImages: ["*.example"], defaultCacheMs: 60_000, args: [] },
      ...{ apiVersion: "credentialprovider.kubelet.k8s.io/v1", env: [{ name: "WHO", value: "me" }], ...more },
    };
    const clock = new VirtualClock();
    const client = { get: async () => ({ metadata: { uid: "sa-uid", annotations: { role: "reader" } } }) } as unknown as Client;
    const deps = { client, clock, logger: silentLogger, token: async (_pod: Pod, audience: string) => `token for ${audience}` };
    return { clock, plugins: new CredentialPlugins([provider], directory, deps) };
  }
  const answer = (extra = ""): string =>
    `echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Registry",${extra}"auth":{"*.example":{"username":"'$WHO'","password":"p"}}}'`;
  const runs = async (): Promise<number> => (await readFile(join(directory, "runs"), "utf8")).trim().split("\n").length;

  it("are asked for images that match, and their answer is kept for the registry", async () => {
    const { plugins: own, clock } = await plugins(answer());
    expect((await own.credentialsFor("r.example/app:1", pod)).map((c) => c.auth)).toEqual([
      { serverAddress: "*.example", username: "me", password: "p" },
    ]);
    expect(JSON.parse(await readFile(join(directory, "request"), "utf8"))).toEqual({
      apiVersion: "credentialprovider.kubelet.k8s.io/v1",
      kind: "CredentialProviderRequest",
      image: "r.example/app:1",
    });
    await own.credentialsFor("r.example/other:1", pod);
    expect(await runs()).toBe(1);
    expect(await own.credentialsFor("elsewhere.test/app", pod)).toEqual([]);
    await clock.advance(61_000);
    await own.credentialsFor("r.example/app:1", pod);
    expect(await runs()).toBe(2);
  });

  it("are given a token of the pod's service account where they ask for one", async () => {
    const tokenAttributes = {
      ...{ serviceAccountTokenAudience: "registry", cacheType: "ServiceAccount" as const, requireServiceAccount: true },
      requiredServiceAccountAnnotationKeys: ["role"],
    };
    const { plugins: own } = await plugins(answer('"cacheDuration":"0s",'), { tokenAttributes });
    const [found] = await own.credentialsFor("r.example/app:1", pod);
    expect(found?.source?.serviceAccount).toEqual({ uid: "sa-uid", namespace: "default", name: "robot" });
    expect(JSON.parse(await readFile(join(directory, "request"), "utf8"))).toMatchObject({
      serviceAccountToken: "token for registry",
      serviceAccountAnnotations: { role: "reader" },
    });
    await own.credentialsFor("r.example/app:1", pod);
    expect(await runs()).toBe(2);
    const { plugins: picky } = await plugins(answer(), {
      tokenAttributes: { ...tokenAttributes, requiredServiceAccountAnnotationKeys: ["other"] },
    });
    expect(await picky.credentialsFor("r.example/app:1", pod)).toEqual([]);
  });

  it.each(["exit 3", "echo nothing", `echo '{"apiVersion":"v0"}'`])("give none when they fail: %s", async (script) => {
    const { plugins: own } = await plugins(script);
    expect(await own.credentialsFor("r.example/app:1", pod)).toEqual([]);
  });

  it("are read from a file, which must be right", async () => {
    await plugins(answer());
    const file = join(directory, "config.yaml");
    const config = (provider: string): string =>
      `apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders: [${provider}]\n`;
    const good = "name: helper, matchImages: ['*.example'], defaultCacheDuration: 12h, apiVersion: credentialprovider.kubelet.k8s.io/v1";
    await writeFile(file, config(`{${good}}`));
    expect(await readCredentialProviders(file, directory)).toMatchObject([{ name: "helper", defaultCacheMs: 12 * 3600_000 }]);
    await writeFile(file, config(`{${good.replace("helper", "missing")}}`));
    await expect(readCredentialProviders(file, directory)).rejects.toThrow(/plugin binary executable .*missing did not exist/);
    await writeFile(file, config("{name: helper}"));
    await expect(readCredentialProviders(file, directory)).rejects.toThrow(/providers\[0\]\.matchImages: Required value/);
  });
});

describe("kubelet: image volumes", () => {
  it("are pulled as images of containers are, and mounted by the runtime", async () => {
    await using f = await startKubelet();
    const volumeMounts = [{ name: "data", mountPath: "/data", subPath: "sub" }];
    const volumes = [{ name: "data", image: { reference: "data.example/set:1", pullPolicy: "IfNotPresent" as const } }];
    await f.createPod("web", { containers: [container({ volumeMounts })], volumes });
    await f.untilPhase("web", "Running");
    const [running] = (await f.cri.listContainers({})).containers;
    const { status } = await f.cri.containerStatus({ containerId: running?.id ?? "" });
    expect(status?.mounts.find((m) => m.containerPath === "/data")).toMatchObject({
      readonly: true,
      imageSubPath: "sub",
      image: { userSpecifiedImage: "data.example/set:1" },
    });
    expect(f.events.filter((e) => e.message.includes("data.example/set:1")).map((e) => e.reason)).toEqual(["Pulling", "Pulled"]);
  });

  it("are pulled again and again while the kubelet cannot note what it pulls, and come when it can", async () => {
    await using f = await startKubelet({ options: { maxParallelImagePulls: 1 } });
    const file = join(f.directory, "root/image_manager");
    await writeFile(file, "in the way");
    const containers = [container({ image: "new.example/app:1", imagePullPolicy: "Always" })];
    await f.createPod("web", { containers });
    await f.createPod("second", { containers });
    const waiting = async (name: string): Promise<string | undefined> =>
      (await f.pod(name))?.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    await f.until(async () => (await waiting("web")) === "ImagePullBackOff" && (await waiting("second")) === "ImagePullBackOff");
    await rm(file);
    await f.untilPhase("web", "Running");
    await f.untilPhase("second", "Running");
  });

  it("that cannot be had keep their container waiting with the reason", async () => {
    const beforePull = (name: string): void => {
      if (name.includes("data.example")) throw new Error("no such image");
    };
    await using f = await startKubelet({ runtime: { beforePull } });
    const volumes = [{ name: "data", image: { reference: "data.example/set:1" } }];
    await f.createPod("web", { containers: [container({ volumeMounts: [{ name: "data", mountPath: "/data" }] })], volumes });
    const waiting = async (): Promise<string | undefined> => (await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    await f.until(async () => (await waiting()) === "ErrImagePull");
    await f.until(async () => (await waiting()) === "ImagePullBackOff");
  });
});
