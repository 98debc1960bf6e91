import { describe, expect, it } from "vitest";
import { parseFlags } from "./flags.ts";
import { createLogger, LogLevel, type LogOptions } from "./log.ts";
import { logFlags, logOptionsOf } from "./log-flags.ts";

function collect(component: string, options: LogOptions) {
  const lines: string[] = [];
  return { logger: createLogger(component, { ...options, write: (line) => lines.push(line) }), lines };
}

const flags = (...args: string[]): LogOptions => logOptionsOf(parseFlags(logFlags, args).values);

describe("createLogger()", () => {
  it("writes structured text", () => {
    const { logger, lines } = collect("scheduler", {});
    logger.info("Bound pod", { pod: "default/web-1", count: 2 });
    logger.error("Failed", { error: new Error("no", { cause: new Error("why") }) });
    expect(lines[0]).toMatch(/^I\d{4} \d\d:\d\d:\d\d\.\d{6} scheduler\] Bound pod pod="default\/web-1" count=2\n$/);
    expect(lines[1]).toMatch(/^E.* scheduler\] Failed error="no: why"\n$/);
  });

  it("writes JSON with upstream's keys: a verbosity where all is well, an error where it is not", () => {
    const { logger, lines } = collect("scheduler", flags("--logging-format=json", "-v=4"));
    logger.info("Bound pod", { pod: { name: "web-1", namespace: "default" } }, 3);
    logger.warn("Odd", { why: "because" });
    logger.error("Failed", { error: new Error("no"), pod: "a" });
    const [info, warn, error] = lines.map((line) => JSON.parse(line));
    expect(info).toEqual({
      ts: expect.any(Number),
      logger: "scheduler",
      msg: "Bound pod",
      v: 3,
      pod: { name: "web-1", namespace: "default" },
    });
    expect(warn).toMatchObject({ msg: "Odd", v: 0, level: "warn", why: "because" });
    expect(error).toEqual({ ts: expect.any(Number), logger: "scheduler", msg: "Failed", err: "no", pod: "a" });
  });

  it("parts have a verbosity of their own where a pattern fits their name", () => {
    const { logger, lines } = collect("apiserver", flags("--vmodule=watch-*=5,apiserver=1", "--v=3"));
    expect([logger.enabled(1), logger.enabled(2)]).toEqual([true, false]);
    expect([logger.named("watch-cache").enabled(5), logger.named("aggregator").enabled(4)]).toEqual([true, false]);
    logger.named("watch-cache").info("deep", {}, 5);
    expect(lines).toHaveLength(1);
  });

  it.each([
    [["--logging-format=xml"], '--logging-format: expected "text" or "json"'],
    [["--vmodule=x"], '--vmodule: expected pattern=N, found "x"'],
    [["--vmodule=x=2", "--logging-format=json"], "--vmodule: only supported for text log format"],
  ])("refuses %j", (args, message) => {
    expect(() => flags(...args)).toThrow(message);
  });
});

it("a level that is set goes before the verbosity of all loggers", () => {
  const lines: string[] = [];
  const level = new LogLevel();
  const logger = createLogger("a", { verbosity: 1, level, write: (line) => void lines.push(line) }).named("b");
  logger.info("before", {}, 2);
  expect(logger.enabled(2)).toBe(false);
  level.set(2);
  logger.info("after", {}, 2);
  expect(logger.enabled(2)).toBe(true);
  level.set(0);
  logger.info("last", {}, 1);
  expect(lines.map((line) => line.trim().split(" ").at(-1))).toEqual(["after"]);
});
