import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runScript, scriptsWereCached, writeScriptCaches } from "./cached-script.ts";

const body = `
  const { basename } = require("node:path");
  const { greeting } = require("./words.js");
  __provide({ greet: (name) => greeting + " " + name, place: basename(__url), load: () => __import("./later.js") });
`;
const scriptOf = (text: string): string => `(function(require,__import,__provide,__url){"use strict";${text}})`;

describe("a script of the program", () => {
  let dir: string;
  let path: string;
  const run = () =>
    runScript(pathToFileURL(path).href, {
      modules: { "./words.js": { greeting: "good day," } },
      importFile: async (name) => `loaded ${name}`,
    }) as {
      readonly greet: (name: string) => string;
      readonly place: string;
      readonly load: () => Promise<unknown>;
    };

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "coracle-script-"));
    path = join(dir, "greet.script.js");
  });
  beforeEach(() => writeFileSync(path, scriptOf(body)));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it("gets the modules it imports, Node's and the program's, and its own address", async () => {
    const { greet, place, load } = run();
    expect(greet("all")).toBe("good day, all");
    expect(place).toBe("greet.script.js");
    expect(await load()).toBe("loaded ./later.js");
  });

  it("runs from its text where there is no cache, or one that does not fit", () => {
    run();
    expect(scriptsWereCached()).toEqual({ "greet.script.js": false });
    writeScriptCaches();
    const cache = readFileSync(`${path}.cache`);

    // Another text each time: V8 remembers what it has compiled in this process.
    writeFileSync(`${path}.cache`, cache.subarray(0, cache.length / 2));
    writeFileSync(path, scriptOf(body.replace("greet:", "greet :")));
    expect(run().greet("half a cache")).toBe("good day, half a cache");
    expect(scriptsWereCached()).toEqual({ "greet.script.js": false });

    writeFileSync(`${path}.cache`, cache);
    writeFileSync(path, scriptOf(body.replace('" "', '" to "')));
    expect(run().greet("you")).toBe("good day, to you");
    expect(scriptsWereCached()).toEqual({ "greet.script.js": false });
  });

  it("says so when it exports nothing", () => {
    writeFileSync(path, scriptOf(""));
    expect(run).toThrow(`${path} exports nothing`);
  });
});
