import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Running } from "../base/lifecycle.ts";
import { podNetworkName } from "./network-config.ts";
import { followPodAddresses } from "./pod-addresses.ts";

const dataDir = "/data";
let directory: string;
let following: Running | undefined;
let told: string[];
let wake: () => void = () => undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-results-"));
  told = [];
});
afterEach(async () => {
  await following?.stop();
  await rm(directory, { recursive: true });
});

async function follow(): Promise<void> {
  const changed = (pod: string, addresses: readonly string[]): void => {
    told.push(`${pod} ${addresses.join()}`);
    wake();
  };
  following = await followPodAddresses({ dataDir, directory, changed, failed: () => undefined });
}

async function untilTold(text: string): Promise<void> {
  while (told.at(-1) !== text)
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
}

const file = (id: string, network = podNetworkName(dataDir)): string => join(directory, `${network}-${id}-eth0`);

const result = (name: string, ...ips: readonly string[]): string =>
  JSON.stringify({
    kind: "cniCacheV1",
    cniArgs: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAMESPACE", "shop"],
      ["K8S_POD_NAME", name],
    ],
    result: { cniVersion: "1.0.0", ips: ips.map((ip) => ({ address: ip, interface: 2 })) },
  });

test("followPodAddresses() tells of the pods that are there, and of those that come and go", async () => {
  await writeFile(file("1"), result("web", "10.244.0.2/24", "fd44::2/64"));
  await writeFile(file("2", "other"), result("other", "10.1.0.2/24"));
  await follow();
  expect(told).toEqual(["shop/web 10.244.0.2,fd44::2"]);
  await writeFile(file("3"), result("db", "10.244.0.3/24"));
  await untilTold("shop/db 10.244.0.3");
  await rm(file("1"));
  await untilTold("shop/web ");
});

test("followPodAddresses() takes a pod's youngest result, and waits for the rest of a half-written one", async () => {
  await writeFile(file("1"), result("web", "10.244.0.2/24"));
  await follow();
  await writeFile(file("2"), result("web", "10.244.0.4/24").slice(0, 40));
  await writeFile(file("2"), result("web", "10.244.0.4/24"));
  await untilTold("shop/web 10.244.0.4");
  await rm(file("1"));
  await writeFile(file("3"), result("last", "10.244.0.5/24"));
  await untilTold("shop/last 10.244.0.5");
  expect(told.filter((text) => text.startsWith("shop/web")).at(-1)).toBe("shop/web 10.244.0.4");
});
