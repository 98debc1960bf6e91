import { describe, expect, it } from "vitest";
import { configmaps } from "../api/resources.generated.ts";
import { TerminalError } from "../client/work-queue.ts";
import { createControllerFixture } from "../testing/controller-fixture.ts";
import { type Controller, watch } from "./controller.ts";
import { selectControllers } from "./controller-names.ts";
import { allControllers } from "./registry.ts";

const named = (name: string): Controller => ({ name, create: () => ({ watches: [], reconcile: async () => undefined }) });
const three = ["a", "b", "c"].map(named);
const select = (...selection: string[]): readonly string[] => selectControllers(three, selection).map((controller) => controller.name);

describe("selectControllers()", () => {
  it("reads selections as --controllers does", () => {
    expect(select("*")).toEqual(["a", "b", "c"]);
    expect(select("*", "-b")).toEqual(["a", "c"]);
    expect(select("b")).toEqual(["b"]);
    expect(select("-b", "b", "*")).toEqual(["a", "c"]);
    expect(select("b", "-b")).toEqual(["b"]);
    expect(() => select("-nope")).toThrow(
      /^"nope" is not in the list of known controllers: a, b, c, .*storage-version-migrator-controller/,
    );
  });

  it("knows former names, and leaves out what is off by default until it is named", () => {
    const off: Controller = { ...named("token-cleaner-controller"), isOffByDefault: true };
    const of = (...selection: string[]) => selectControllers([...three, off], selection).map(({ name }) => name);
    expect(of("*")).toEqual(["a", "b", "c"]);
    expect(of("*", "tokencleaner")).toEqual(["a", "b", "c", "token-cleaner-controller"]);
    expect(of("*", "selinux-warning-controller")).toEqual(["a", "b", "c"]);
  });

  it("has every controller once", () => {
    expect(new Set(allControllers.map(({ name }) => name)).size).toBe(allControllers.length);
  });
});

describe("startController()", () => {
  it("reconciles nothing before everything it watches is known", async () => {
    await using fixture = createControllerFixture();
    await fixture.client.create(configmaps, { metadata: { name: "a", namespace: "d" } });
    const sizes: number[] = [];
    fixture.api.intercept = (request) => {
      if (fixture.clock.monotonic() < 5_000 && request.path.endsWith("/configmaps")) throw new Error("not yet");
    };
    fixture.start({
      name: "x",
      create: ({ informers, enqueue }) => {
        const informer = informers.informer(configmaps);
        enqueue("early");
        return { watches: [watch(informer, () => ["seen"])], reconcile: async () => void sizes.push(informer.size) as undefined };
      },
    });
    await fixture.clock.advance(4_000);
    expect(sizes).toEqual([]);
    await fixture.clock.advance(10_000);
    expect(sizes).toEqual([1, 1]);
  });

  it("tries a key again that failed, and not one that failed for good", async () => {
    await using fixture = createControllerFixture();
    const calls: string[] = [];
    fixture.start({
      name: "x",
      create: ({ enqueue }) => {
        for (const key of ["again", "never"]) enqueue(key);
        return {
          watches: [],
          reconcile: async (key) => {
            calls.push(key);
            if (key === "never") throw new TerminalError("hopeless");
            if (calls.filter((call) => call === key).length < 3) throw new Error("not yet");
            return undefined;
          },
        };
      },
    });
    await fixture.clock.advance(60_000);
    expect(calls.sort()).toEqual(["again", "again", "again", "never"]);
  });
});
