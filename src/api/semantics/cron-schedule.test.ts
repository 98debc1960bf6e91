import { describe, expect, it } from "vitest";
import { CronError, parseCronSchedule } from "./cron-schedule.ts";

describe("parseCronSchedule()", () => {
  it("reads lists, ranges, steps and names", () => {
    const schedule = parseCronSchedule("*/20,7 8-10 1 jan-mar MON");
    expect(schedule).toEqual({
      kind: "fields",
      minutes: new Set([0, 20, 40, 7]),
      hours: new Set([8, 9, 10]),
      daysOfMonth: new Set([1]),
      months: new Set([1, 2, 3]),
      daysOfWeek: new Set([1]),
      anyDayOfMonth: false,
      anyDayOfWeek: false,
    });
  });

  it("lets a number with a step run to the end of the field", () => {
    expect(parseCronSchedule("40/10 * * * ?")).toMatchObject({ minutes: new Set([40, 50]), anyDayOfMonth: true, anyDayOfWeek: true });
  });

  it("knows macros and intervals", () => {
    expect(parseCronSchedule("@weekly")).toMatchObject({ minutes: new Set([0]), daysOfWeek: new Set([0]), anyDayOfMonth: true });
    expect(parseCronSchedule("@every 1h30m")).toEqual({ kind: "interval", seconds: 5400 });
  });

  it.each([
    ["", "empty spec string"],
    ["every day", "expected exactly 5 fields, found 2: [every day]"],
    ["@fortnightly", "unrecognized descriptor: @fortnightly"],
    ["0 0 * * 7", "end of range (7) above maximum (6): 7"],
    ["0 0 0 * *", "beginning of range (0) below minimum (1): 0"],
    ["0 5-3 * * *", "beginning of range (5) beyond end of range (3): 5-3"],
    ["*/0 * * * *", "step of range should be a positive number: */0"],
    ["1-2-3 * * * *", "too many hyphens: 1-2-3"],
    ["0 0 L * *", 'failed to parse int from L: strconv.Atoi: parsing "L": invalid syntax'],
  ])("refuses %j", (text, message) => {
    expect(() => parseCronSchedule(text)).toThrow(new CronError(message));
  });
});
