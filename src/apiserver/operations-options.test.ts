import { describe, expect, it } from "vitest";
import { parseFlags } from "../base/flags.ts";
import { type OperationsSettings, operationsFlags, operationsSettings } from "./operations-options.ts";

const settings = (...args: string[]): OperationsSettings =>
  operationsSettings(parseFlags(operationsFlags, ["--audit-policy-file=p", "--audit-log-path=l", ...args]).values);

describe("operationsSettings()", () => {
  it("keeps a hundred audit logs of 100 MB for a year, and any where told so", () => {
    expect(settings().audit?.log).toMatchObject({ maxAgeDays: 366, maxBackups: 100, maxMegabytes: 100 });
    const unlimited = settings("--audit-log-maxage=0", "--audit-log-maxbackup=0", "--audit-log-maxsize=0");
    expect(unlimited.audit?.log).toMatchObject({ maxAgeDays: 0, maxBackups: 0, maxMegabytes: 0 });
  });

  it("takes batches that are larger than their buffer, but none that are smaller than an event may be", () => {
    const larger = settings("--audit-log-mode=batch", "--audit-log-batch-buffer-size=1", "--audit-log-batch-max-size=20");
    expect(larger.audit?.log).toMatchObject({ bufferSize: 1, maxBatchSize: 20 });
    expect(() => settings("--audit-log-truncate-max-batch-size=5")).toThrow("--audit-log-truncate-max-batch-size");
    expect(() => settings("--audit-log-truncate-max-event-size=0")).toThrow("--audit-log-truncate-max-event-size");
  });
});
