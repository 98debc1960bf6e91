import { describe, expect, it } from "vitest";
import { jobs } from "../api/resources.generated.ts";
import { formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { ttlAfterFinishedController } from "./ttl-after-finished.ts";

const at = { namespace: "default", name: "j" };

async function started(ttlSecondsAfterFinished: number | undefined): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(ttlAfterFinishedController);
  const spec = { template: {}, ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }) };
  await fixture.client.create(jobs, { metadata: at, spec });
  await fixture.settle();
  return fixture;
}

async function finish(f: ControllerFixture, type: "Complete" | "Failed"): Promise<void> {
  const conditions = [{ type, status: "True", lastTransitionTime: formatTime(f.clock.now()) }];
  await f.client.patch(jobs, at, { status: { conditions } }, { type: "merge", subresource: "status" });
  await f.settle();
}

const isGoing = async (f: ControllerFixture): Promise<boolean> => (await f.client.get(jobs, at)).metadata.deletionTimestamp !== undefined;

describe("ttl-after-finished-controller", () => {
  it("deletes a finished job when its time is over, pods first", async () => {
    await using f = await started(60);
    await f.clock.advance(120_000);
    expect(await isGoing(f)).toBe(false);
    await finish(f, "Failed");
    await f.clock.advance(58_000);
    expect(await isGoing(f)).toBe(false);
    await f.clock.advance(2_000);
    expect((await f.client.get(jobs, at)).metadata.finalizers).toEqual(["foregroundDeletion"]);
  });

  it("keeps jobs without a time", async () => {
    await using f = await started(undefined);
    await finish(f, "Complete");
    await f.clock.advance(10_000_000);
    expect(await isGoing(f)).toBe(false);
  });

  it("follows a time that is extended", async () => {
    await using f = await started(60);
    await finish(f, "Complete");
    await f.clock.advance(30_000);
    await f.client.patch(jobs, at, { spec: { ttlSecondsAfterFinished: 300 } }, { type: "merge" });
    await f.clock.advance(60_000);
    expect(await isGoing(f)).toBe(false);
    await f.clock.advance(240_000);
    expect(await isGoing(f)).toBe(true);
  });
});
