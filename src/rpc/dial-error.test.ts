import { describe, expect, it } from "vitest";
import { dialErrorText, requestErrorText } from "./dial-error.ts";

const failed = (fields: Partial<NodeJS.ErrnoException>): NodeJS.ErrnoException => Object.assign(new Error("node's words"), fields);

describe("what is said of a connection that failed", () => {
  it.each([
    [{ code: "ECONNREFUSED" }, "connect: connection refused"],
    [{ code: "EHOSTUNREACH" }, "connect: no route to host"],
    [{ code: "ENETUNREACH" }, "connect: network is unreachable"],
    [{ name: "AbortError" }, "i/o timeout"],
    [{ code: "EOTHER" }, "node's words"],
  ])("%j", (fields, text) => {
    expect(dialErrorText("10.0.0.5", 80, failed(fields))).toBe(`dial tcp 10.0.0.5:80: ${text}`);
    expect(dialErrorText("fd00::5", 80, failed(fields))).toBe(`dial tcp [fd00::5]:80: ${text}`);
  });

  it("requests tell connecting from an answer that broke off", () => {
    expect(requestErrorText("10.0.0.5", 80, failed({ code: "ECONNREFUSED", syscall: "connect" }))).toMatch(/^dial tcp /);
    expect(requestErrorText("10.0.0.5", 80, failed({ code: "ECONNRESET" }))).toBe("EOF");
    const notTls = Object.assign(new Error("SSL routines:ssl3_get_record:wrong version number"), { code: "EPROTO", syscall: "write" });
    expect(requestErrorText("10.0.0.5", 80, notTls)).toBe("http: server gave HTTP response to HTTPS client");
    expect(requestErrorText("10.0.0.5", 80, failed({ code: "HPE_INVALID_CONSTANT" }))).toBe("node's words");
  });
});
