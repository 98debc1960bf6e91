// Replays conversations recorded with a real kube-apiserver v1.36.2 and holds the share that matches, area by area, against
// the floors in floors.json. Floors only ever rise. The recordings lie outside the project (../shared/parity); where they
// are not there, nothing can be compared and the test says so.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { projectRoot, run } from "../support/processes.ts";

const replay = join(projectRoot, "../shared/parity/parity.mjs");
const floors = JSON.parse(readFileSync(new URL("floors.json", import.meta.url), "utf8")) as Record<string, number>;
const recordingsAreThere = existsSync(replay);
if (!recordingsAreThere) console.log("recorded conversations are not compared: ../shared/parity is not there");

describe.runIf(recordingsAreThere)("answers recorded with kube-apiserver v1.36.2", () => {
  let server: ApiServerProcess;
  beforeAll(async () => {
    server = await startApiServerProcess();
  });
  afterAll(() => server.stop());

  it.for(Object.entries(floors))("%s: at least %i cases match", { timeout: 300_000 }, async ([area, floor]) => {
    const result = await run(process.execPath, [replay, "check", "--server", server.url, "--token", server.token, `${area}/`], {
      timeoutMs: 280_000,
    });
    const [, passed, total] = new RegExp(`^${area}: (\\d+)/(\\d+)$`, "m").exec(result.stdout) ?? [];
    expect(Number(total), result.stdout.slice(-2000) + result.stderr).toBeGreaterThan(0);
    expect(Number(passed), result.stdout.slice(0, 4000)).toBeGreaterThanOrEqual(floor);
  });
});
