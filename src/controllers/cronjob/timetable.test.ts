import { describe, expect, it } from "vitest";
import { timeZone, utc } from "../../base/time-zone.ts";
import { timetable } from "./timetable.ts";

function firings(schedule: string, after: string, { zone = "UTC", count = 3 } = {}): readonly string[] {
  const table = timetable(schedule, timeZone(zone) ?? utc);
  const times: string[] = [];
  let at = table.next(Date.parse(after));
  for (; at !== undefined && times.length < count; at = table.next(at)) times.push(new Date(at).toISOString().slice(0, 16));
  return times;
}

describe("timetable()", () => {
  it.each([
    ["*/20 9 * * *", "2026-01-01T09:20:00Z", ["2026-01-01T09:40", "2026-01-02T09:00", "2026-01-02T09:20"]],
    ["0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00", "2026-05-31T00:00", "2026-07-31T00:00"]],
    ["30 23 * dec sun", "2026-01-01T00:00:00Z", ["2026-12-06T23:30", "2026-12-13T23:30", "2026-12-20T23:30"]],
    ["0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]],
    ["0 0 13 * fri", "2026-02-01T00:00:00Z", ["2026-02-06T00:00", "2026-02-13T00:00", "2026-02-20T00:00"]],
    ["@hourly", "2026-01-01T22:59:59Z", ["2026-01-01T23:00", "2026-01-02T00:00", "2026-01-02T01:00"]],
    ["@every 90m", "2026-01-01T00:00:30Z", ["2026-01-01T01:30", "2026-01-01T03:00", "2026-01-01T04:30"]],
  ])("%s after %s", (schedule, after, expected) => {
    expect(firings(schedule, after)).toEqual(expected);
  });

  it("finds nothing for a day that no month has", () => {
    expect(firings("0 0 31 2 *", "2026-01-01T00:00:00Z")).toEqual([]);
  });

  it("follows the clocks of its zone", () => {
    expect(firings("0 9 * * *", "2026-01-01T00:00:00Z", { zone: "Asia/Kolkata", count: 1 })).toEqual(["2026-01-01T03:30"]);
    expect(firings("0 0 1 * *", "2026-03-15T00:00:00Z", { zone: "America/New_York", count: 2 })).toEqual([
      "2026-04-01T04:00",
      "2026-05-01T04:00",
    ]);
    expect(firings("0 0 * * 1", "2026-03-24T00:00:00Z", { zone: "Europe/Berlin", count: 2 })).toEqual([
      "2026-03-29T22:00",
      "2026-04-05T22:00",
    ]);
  });

  it("passes over a local time that does not exist and takes one twice that comes twice", () => {
    expect(firings("30 2 * * *", "2026-03-28T00:00:00Z", { zone: "Europe/Berlin" })).toEqual([
      "2026-03-28T01:30",
      "2026-03-30T00:30",
      "2026-03-31T00:30",
    ]);
    expect(firings("30 2 * * *", "2026-10-24T12:00:00Z", { zone: "Europe/Berlin" })).toEqual([
      "2026-10-25T00:30",
      "2026-10-25T01:30",
      "2026-10-26T01:30",
    ]);
  });

  it("begins a day whose midnight the clocks skip at its first hour", () => {
    expect(firings("0 1 24 4 *", "2026-04-01T00:00:00Z", { zone: "Africa/Cairo", count: 1 })).toEqual(["2026-04-23T22:00"]);
  });
});

describe("timeZone()", () => {
  it("knows names of the database only", () => {
    expect(timeZone("Europe/Nowhere")).toBeUndefined();
    expect(timeZone("+02:00")).toBeUndefined();
    expect(timeZone("Asia/Kathmandu")?.offsetMs(0)).toBe(5.5 * 3_600_000);
    expect(timeZone("Asia/Kathmandu")?.offsetMs(Date.UTC(2026, 0))).toBe(5.75 * 3_600_000);
    expect(timeZone("America/St_Johns")?.offsetMs(Date.UTC(2026, 0))).toBe(-3.5 * 3_600_000);
  });
});
