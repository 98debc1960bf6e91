import { describe, expect, it } from "vitest";
import { rewriteHtml, rewriteLink, splitProxyPath } from "./proxy-links.ts";

describe("splitProxyPath()", () => {
  it.each([
    ["/api/v1/namespaces/ns/services/web/proxy", true, "/api/v1/namespaces/ns/services/web/proxy", ""],
    ["/api/v1/namespaces/ns/services/http:web:80/proxy/a/b", true, "/api/v1/namespaces/ns/services/http:web:80/proxy", "/a/b"],
    // Names may begin with the word.
    ["/api/v1/namespaces/proxy-1/pods/proxy-x/proxy/", true, "/api/v1/namespaces/proxy-1/pods/proxy-x/proxy", "/"],
    ["/api/v1/nodes/n1/proxy/proxy/pods", false, "/api/v1/nodes/n1/proxy", "/proxy/pods"],
  ])("%s", (path, isNamespaced, prefix, rest) => {
    expect(splitProxyPath(path, isNamespaced)).toEqual({ prefix, rest });
  });
});

const context = { prefix: "/p/proxy", hosts: ["10.0.0.5:80", "localhost:8001"] };

describe("rewriteLink()", () => {
  it.each([
    ["/login?next=/x#y", "/p/proxy/login?next=/x#y"],
    ["/", "/p/proxy/"],
    ["http://10.0.0.5:80/a/", "/p/proxy/a/"],
    ["http://10.0.0.5:80", "/p/proxy/"],
    ["//localhost:8001/a", "/p/proxy/a"],
    ["/p/proxy/a", "/p/proxy/a"],
    ["/p/proxyish", "/p/proxy/p/proxyish"],
    ["a/b", "a/b"],
    ["?q", "?q"],
    ["#top", "#top"],
    ["", ""],
    ["https://example.test/a", "https://example.test/a"],
    ["mailto:a@example.test", "mailto:a@example.test"],
    ["data:image/png;base64,/9j/", "data:image/png;base64,/9j/"],
  ])("%s", (link, expected) => {
    expect(rewriteLink(link, context)).toBe(expected);
  });
});

describe("rewriteHtml()", () => {
  it("rewrites attributes that are URLs, however they are quoted, and nothing else", () => {
    const page = `<!doctype html><HTML><body background='/b.png' class="/x">
<!-- <a href="/no"> --><a title="a > b" HREF = "/a">/a</a> <img src=/i.png alt=/alt><p data-href="/no" href="/no">
<script src="/s.js">const x = '<a href="/no">';</script><style>a { background: url(/no) }</style><form action="submit">`;
    expect(rewriteHtml(page, context)).toBe(`<!doctype html><HTML><body background='/p/proxy/b.png' class="/x">
<!-- <a href="/no"> --><a title="a > b" HREF = "/p/proxy/a">/a</a> <img src=/p/proxy/i.png alt=/alt><p data-href="/no" href="/no">
<script src="/p/proxy/s.js">const x = '<a href="/no">';</script><style>a { background: url(/no) }</style><form action="submit">`);
  });

  it.each([
    ["elements in elements", "<a ".repeat(100_000)],
    ["open quotes", '<a href="'.repeat(100_000)],
    ["open comments", "<!--".repeat(100_000)],
    ["open scripts", "<script>".repeat(100_000)],
    ["blanks", `<a${" ".repeat(300_000)}`],
    ["equals signs", `<a ${"=".repeat(300_000)}`],
    ["names", `<a ${"x ".repeat(150_000)}`],
  ])("takes time in proportion to the page, also for many %s", (_what, page) => {
    const startMs = performance.now();
    expect(rewriteHtml(page, context)).toHaveLength(page.length);
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});
