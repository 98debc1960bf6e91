import { describe, expect, it } from "vitest";
import type { Asked } from "./client-request.ts";
import { changeHeaders, redirectLocation, rewrittenPath } from "./filters.ts";

const asked = (pathAndQuery: string): Asked => ({
  ...{ authority: "a.org:8080", host: "a.org" },
  ...{ path: pathAndQuery.split("?", 1)[0] ?? "", pathAndQuery },
});

describe("rewrittenPath()", () => {
  // The table of the Gateway API's documentation: request, prefix of the route, what takes its place.
  it.each([
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo/", "/foo", "/", "/"],
    ["/foo", "/foo", "/", "/"],
    ["/foo/bar?a=b", "/", "/xyz", "/xyz/foo/bar?a=b"],
  ])("%s with %s replaced by %s", (path, matched, to, expected) => {
    expect(rewrittenPath(asked(path), { kind: "prefix", matched, path: to })).toBe(expected);
  });

  it("keeps the query where the whole path is another", () => {
    expect(rewrittenPath(asked("/a/b?c"), { kind: "full", path: "/x" })).toBe("/x?c");
    expect(rewrittenPath(asked("/a/b?c"), undefined)).toBe("/a/b?c");
  });
});

describe("redirectLocation()", () => {
  const entrance = (scheme: "http" | "https", port: number) => ({ scheme, port });

  it("keeps what is not changed, and names a port only where it is unusual", () => {
    const at = asked("/x?y");
    expect(redirectLocation({ status: 302 }, at, entrance("http", 80))).toBe("http://a.org/x?y");
    expect(redirectLocation({ status: 302 }, at, entrance("http", 8080))).toBe("http://a.org:8080/x?y");
    expect(redirectLocation({ status: 302, hostname: "b.org" }, at, entrance("https", 443))).toBe("https://b.org/x?y");
    expect(redirectLocation({ status: 302, scheme: "https" }, at, entrance("http", 8080))).toBe("https://a.org/x?y");
    expect(redirectLocation({ status: 302, scheme: "https", port: 8443 }, at, entrance("http", 80))).toBe("https://a.org:8443/x?y");
    expect(redirectLocation({ status: 302, port: 80 }, at, entrance("http", 8080))).toBe("http://a.org/x?y");
    const path = { kind: "prefix", matched: "/x", path: "/z" } as const;
    expect(redirectLocation({ status: 302, path }, at, entrance("http", 80))).toBe("http://a.org/z?y");
  });
});

it("headers are set, added to and removed, one change after the other", () => {
  const headers = { a: "1", b: "1", c: "1", d: ["1", "2"] };
  changeHeaders(headers, [
    {
      set: [["a", "2"]],
      add: [
        ["b", "2"],
        ["d", "3"],
        ["e", "1"],
      ],
      remove: ["c"],
    },
    { set: [], add: [["a", "3"]], remove: [] },
  ]);
  expect(headers).toEqual({ a: ["2", "3"], b: ["1", "2"], d: ["1", "2", "3"], e: "1" });
});
