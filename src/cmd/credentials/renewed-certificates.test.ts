import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { loadKubeconfig } from "../../client/kubeconfig.ts";
import type { ServerCertificates } from "../../kubelet/server/server.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { loadOrCreatePki, type Pki } from "./pki.ts";
import { followIssued, followPair, issueDaily } from "./renewed-certificates.ts";

const dayMs = 86_400_000;
let dataDir: string;
let clock: VirtualClock;
let pki: Pki;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "renewed-"));
  clock = new VirtualClock();
  pki = await loadOrCreatePki({ dataDir, serviceIp: "10.96.0.1", clock });
});
afterEach(() => rm(dataDir, { recursive: true }));

const deps = () => ({ clock, logger: silentLogger });
const issue = () => pki.kubeletServing("n1", ["192.0.2.1"]);
const served = async (): Promise<ServerCertificates> => {
  const { certificate, key } = await issue();
  return { cert: certificate, key, clientCa: "ca" };
};

/** Past the day on which a certificate of this day is issued anew; files are read and written in real time. */
async function untilRenewed(isRenewed: () => Promise<boolean> | boolean): Promise<void> {
  await clock.advance(280 * dayMs);
  await expect
    .poll(async () => {
      await clock.advance(dayMs);
      return isRenewed();
    })
    .toBe(true);
}

it("issues a node's certificates anew before they expire, in the files that the node follows", async () => {
  const first = await served();
  const files = pki.kubeletFiles("n1").serving;
  let renewals = 0;
  const issuing = issueDaily(deps(), async () => {
    const before = await readFile(files.certFile, "utf8");
    if ((await issue()).certificate !== before) renewals++;
  });
  await clock.advance(200 * dayMs);
  expect(await served()).toEqual(first);
  await untilRenewed(() => renewals > 0);
  await issuing.stop();
  const used: ServerCertificates[] = [];
  const following = followPair(deps(), files, first)((next) => used.push(next));
  await expect
    .poll(async () => {
      await clock.advance(1_000);
      return used.length;
    })
    .toBe(1);
  expect(used[0]).toEqual(await served());
  expect(used[0]?.cert).not.toBe(first.cert);
  await following.stop();
});

it("hands those of a server of this process over without a file", async () => {
  const first = await served();
  const used: ServerCertificates[] = [];
  const following = followIssued(deps(), issue, first)((next) => used.push(next));
  await untilRenewed(() => used.length > 0);
  expect(used[0]).toMatchObject({ clientCa: "ca" });
  expect(used[0]?.cert).not.toBe(first.cert);
  await following.stop();
});

it("a kubeconfig names the files of a node's client certificate, so that its clients read the new one", async () => {
  const { client } = pki.kubeletFiles("n1");
  await pki.kubeletClient("n1");
  const path = join(dataDir, "node.kubeconfig");
  await writeKubeconfig(path, {
    server: "https://127.0.0.1:1",
    authority: pki.ca.pem.certificate,
    credentials: client,
    user: "system:node:n1",
  });
  expect((await loadKubeconfig({ path })).credentials).toEqual({ kind: "certificateFiles", ...client });
});
