import { describe, expect, it } from "vitest";
import { RpcError } from "../../rpc/rpc-error.ts";
import { WriteTooLargeError } from "../store.ts";
import { isRetriable, toStoreError, wasRefused } from "./errors.ts";

describe("what is known of a call that failed", () => {
  it.each([
    ["etcdserver: no leader", true],
    ["etcdserver: too many requests", true],
    ["no connection to etcd at https://10.0.0.1:2379", true],
    ["No connection established. Last error: connect ECONNREFUSED", true],
    // These are said of what was under way, which may be done all the same: a write must not be sent again.
    ["etcdserver: server stopped", false],
    ["etcdserver: request timed out", false],
    ["etcdserver: leader changed", false],
    ["etcdserver: request timed out, possibly due to previous leader failure", false],
    ["Connection dropped", false],
  ])("%s: nothing has happened: %s", (details, refused) => {
    const error = new RpcError("UNAVAILABLE", details);
    expect(wasRefused(error)).toBe(refused);
    expect(isRetriable(error)).toBe(true);
  });
});

it("a write that etcd finds too large is told apart", () => {
  const error = toStoreError(new RpcError("INVALID_ARGUMENT", "etcdserver: request is too large"), 0);
  expect(error).toBeInstanceOf(WriteTooLargeError);
  expect((error as Error).message).toBe("etcdserver: request is too large");
});
