import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { LogRotation } from "./log-rotation.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-rotation-"));
  path = join(directory, "0.log");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function rotationOf(clock: VirtualClock, reopen: () => Promise<void>): LogRotation {
  const cri = { reopenContainerLog: reopen } as unknown as CriRuntime; // the only call it makes
  const logs = () => [{ containerId: "c", path }];
  return new LogRotation({ cri, clock, logger: silentLogger, logs }, { maxBytes: 10, maxFiles: 3 });
}

it("LogRotation moves a log that has grown too long aside and keeps a bounded number", async () => {
  const clock = new VirtualClock(Date.UTC(2026, 10, 22, 13, 45, 8));
  const rotation = rotationOf(clock, () => writeFile(path, ""));
  await writeFile(path, "short");
  await rotation.rotate();
  expect(await readdir(directory)).toEqual(["0.log"]);
  for (let i = 0; i < 4; i++) {
    await writeFile(path, "longer than ten bytes");
    await rotation.rotate();
    await clock.advance(1000);
  }
  expect((await readdir(directory)).sort()).toEqual(["0.log", "0.log.20261122-134510", "0.log.20261122-134511"]);
});

it("LogRotation leaves the log where it is when the runtime opens no new one", async () => {
  const rotation = rotationOf(new VirtualClock(), () => Promise.reject(new RpcError("UNAVAILABLE", "away")));
  await writeFile(path, "longer than ten bytes");
  await rotation.rotate();
  expect(await readdir(directory)).toEqual(["0.log"]);
});
