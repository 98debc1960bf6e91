import { expect, test } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { createSimulatedRuntime } from "../../cri/simulated.ts";
import { withImagesOf } from "./node-runtime.ts";

test("a runtime whose images are another one's has those, and makes containers itself", async () => {
  const clock = new VirtualClock();
  const [runtime, images] = ["app:1", "other:1"].map((name) => createSimulatedRuntime({ clock, images: [name] }));
  if (!runtime || !images) throw new Error("there are two");
  const both = withImagesOf(runtime, images);
  expect((await both.listImages({})).images.flatMap((image) => image.repoTags)).toEqual(["docker.io/library/other:1"]);
  await both.runPodSandbox({ config: { metadata: { name: "p", namespace: "d", uid: "u", attempt: 0 } } });
  expect((await runtime.listPodSandbox({})).items).toHaveLength(1);
  expect((await images.listPodSandbox({})).items).toHaveLength(0);
});
