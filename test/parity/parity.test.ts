// Replays what a real Kubernetes v1.36.2 was recorded doing and holds the share that matches, area by area, against the
// floors in floors.json: conversations with kube-apiserver against an API server alone, and scenarios of
// kube-controller-manager and kube-scheduler against a control plane without nodes. Floors only ever rise. The recordings
// lie outside the project (../shared/parity); where they are not there, nothing can be compared and the test says so.
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { Cluster } from "../support/cluster.ts";
import { projectRoot, run, temporaryDirectory } from "../support/processes.ts";

const recordings = join(projectRoot, "../shared/parity");
const floors = JSON.parse(readFileSync(new URL("floors.json", import.meta.url), "utf8")) as Record<"api" | "loops", Record<string, number>>;
const areThere = existsSync(join(recordings, "parity.mjs"));
if (!areThere) console.log("recorded behaviour is not compared: ../shared/parity is not there");

interface Target {
  readonly url: string;
  readonly token: string;
}

/** Cases of an area that match, by the replay program's own count. */
async function replay(
  program: string,
  { url, token }: Target,
  area: string,
): Promise<{ readonly passed: number; readonly output: string }> {
  const args = [join(recordings, program), "check", "--server", url, "--token", token, `${area}/`];
  const { stdout, stderr } = await run(process.execPath, args, { timeoutMs: 400_000 });
  const [, passed] = new RegExp(`^${area}: (\\d+)/\\d+$`, "m").exec(stdout) ?? [];
  if (passed === undefined) throw new Error(`${program} counted nothing for ${area}\n${stdout.slice(-2000)}${stderr}`);
  return { passed: Number(passed), output: stdout };
}

describe.runIf(areThere)("answers recorded with kube-apiserver v1.36.2", () => {
  let server: ApiServerProcess;
  beforeAll(async () => {
    server = await startApiServerProcess();
  });
  afterAll(() => server.stop());

  it.for(Object.entries(floors.api))("%s: at least %i cases match", { timeout: 420_000 }, async ([area, floor]) => {
    const { passed, output } = await replay("parity.mjs", server, area);
    expect(passed, output.slice(0, 6000)).toBeGreaterThanOrEqual(floor);
  });
});

describe.runIf(areThere)("scenarios recorded with kube-controller-manager and kube-scheduler v1.36.2", () => {
  const token = "test-admin-token";
  let cluster: Cluster;
  let removeTokens: () => Promise<void>;
  beforeAll(async () => {
    const tokens = await temporaryDirectory("tokens");
    removeTokens = tokens.remove;
    const file = join(tokens.path, "tokens.csv");
    await writeFile(file, `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
    cluster = await Cluster.prepare("loops", ["--nodes", "0", "--storage", "memory", "--token-auth-file", file]);
    await cluster.start();
  }, 120_000);
  afterAll(async () => {
    await cluster.remove();
    await removeTokens();
  }, 180_000);

  it.for(Object.entries(floors.loops))("%s: at least %i scenarios match", { timeout: 420_000 }, async ([area, floor]) => {
    const { passed, output } = await replay("loops.mjs", { url: `https://127.0.0.1:${cluster.port}`, token }, area);
    expect(passed, output.slice(0, 6000)).toBeGreaterThanOrEqual(floor);
  });
});
