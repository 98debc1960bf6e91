import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StopStack } from "../base/lifecycle.ts";
import { connectRpc, type RpcConnection, unixSocketPath } from "./client.ts";
import type { CallOptions, HandlerContext, Input, ProtocolTable } from "./protocol.ts";
import { isRpcError, RpcError } from "./rpc-error.ts";
import { serveRpc } from "./server.ts";

const table: ProtocolTable = {
  package: "test.v1",
  services: { Greeter: { Greet: "Name -> Greeting", Count: "Name -> stream Greeting", Missing: "Name -> Greeting" } },
  enums: {},
  messages: { Name: "1 name string", Greeting: "1 text string" },
};

interface Name {
  readonly name: string;
}
interface Greeting {
  readonly text: string;
}
interface Greeter {
  greet(request: Input<Name>, options?: CallOptions): Promise<Greeting>;
  count(request: Input<Name>, options?: CallOptions): AsyncIterable<Greeting>;
  missing(request: Input<Name>, options?: CallOptions): Promise<Greeting>;
}

interface GreeterHandlers {
  greet?(request: Name, context: HandlerContext): Promise<Input<Greeting>>;
  count?(request: Name, context: HandlerContext): AsyncIterable<Input<Greeting>>;
}

/** A promise that test code opens. */
function gate(): { readonly promise: Promise<void>; resolve(): void } {
  let open: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, resolve: () => open() };
}

let directory: string;
let endpoint: string;
let owned: StopStack;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "rpc-"));
  endpoint = `unix://${directory}/s.sock`;
  owned = new StopStack();
  owned.defer(() => rm(directory, { recursive: true, force: true }));
});
afterEach(() => owned.stop());

async function serve(handlers: GreeterHandlers): Promise<() => Promise<void>> {
  const server = owned.add(await serveRpc({ endpoint, services: [{ protocol: table, service: "Greeter", handlers }] }));
  return () => server.stop();
}

function connect(): { greeter: Greeter; connection: RpcConnection } {
  const connection = connectRpc({ endpoint, timeoutMs: 10_000 });
  owned.defer(() => connection.close());
  return { connection, greeter: connection.service<Greeter>(table, "Greeter") };
}

describe("connectRpc() and serveRpc()", () => {
  test("carry a call and its answer", async () => {
    await serve({ greet: async ({ name }) => ({ text: `hello ${name}` }) });
    expect(await connect().greeter.greet({ name: "wörld" })).toEqual({ text: "hello wörld" });
    expect(await connect().greeter.greet({})).toEqual({ text: "hello " });
  });

  test("carry messages of megabytes", async () => {
    await serve({ greet: async ({ name }) => ({ text: name }) });
    const name = "x".repeat(5_000_000);
    expect((await connect().greeter.greet({ name })).text).toBe(name);
  });

  test("turn failures into RpcErrors that name the call", async () => {
    await serve({
      greet: async ({ name }) => {
        if (name === "plain") throw new Error("broken");
        throw new RpcError("NOT_FOUND", `no ${name}`);
      },
    });
    const { greeter } = connect();
    const error = await greeter.greet({ name: "bob" }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: "NOT_FOUND", details: "no bob", message: "Greeter.Greet: NOT_FOUND: no bob" });
    await expect(greeter.greet({ name: "plain" })).rejects.toMatchObject({ code: "UNKNOWN", details: "broken" });
    await expect(greeter.missing({})).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  test("end a call at its deadline, and tell the handler", async () => {
    const aborted = gate();
    await serve({
      greet: async (_, { signal }) => {
        await once(signal, "abort");
        aborted.resolve();
        return {};
      },
    });
    await expect(connect().greeter.greet({}, { timeoutMs: 50 })).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await aborted.promise;
  });

  test("cancel a call by its signal", async () => {
    const entered = gate();
    await serve({
      greet: async (_, { signal }) => {
        entered.resolve();
        await once(signal, "abort");
        return {};
      },
    });
    const abort = new AbortController();
    const call = connect().greeter.greet({}, { signal: abort.signal });
    const outcome = call.catch((e: unknown) => e);
    await entered.promise;
    abort.abort(new Error("enough"));
    expect(await outcome).toEqual(new Error("enough"));
  });

  test("stream answers, with back-pressure, and stop when the reader leaves", async () => {
    let sent = 0;
    const left = gate();
    await serve({
      count: async function* (_, { signal }) {
        try {
          for (sent = 0; !signal.aborted; sent++) yield { text: "x".repeat(10_000) + sent };
        } finally {
          left.resolve();
        }
      },
    });
    const read: string[] = [];
    for await (const { text } of connect().greeter.count({})) {
      read.push(text.replace(/^x+/, ""));
      if (read.length === 20) break;
    }
    await left.promise;
    expect(read).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
    expect(sent).toBeLessThan(10_000);
  });

  test("deliver the failure of a stream after its items", async () => {
    await serve({
      count: async function* () {
        yield { text: "one" };
        throw new RpcError("ABORTED", "restart");
      },
    });
    const read: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const { text } of connect().greeter.count({})) read.push(text);
    };
    await expect(reading()).rejects.toMatchObject({ code: "ABORTED", details: "restart" });
    expect(read).toEqual(["one"]);
  });

  test("fail at once while the peer is away, and recover when it is back", async () => {
    const { greeter, connection } = connect();
    await expect(greeter.greet({})).rejects.toSatisfy((e) => isRpcError(e, "UNAVAILABLE"));
    const stop = await serve({ greet: async () => ({ text: "first" }) });
    await connection.ready({ timeoutMs: 10_000 });
    expect((await greeter.greet({})).text).toBe("first");
    await stop();
    await expect(greeter.greet({})).rejects.toSatisfy((e) => isRpcError(e, "UNAVAILABLE"));
    await serve({ greet: async () => ({ text: "second" }) });
    await connection.ready({ timeoutMs: 10_000 });
    expect((await greeter.greet({})).text).toBe("second");
  });

  test("say which endpoint does not answer", async () => {
    await expect(connect().connection.ready({ timeoutMs: 30 })).rejects.toThrow(`no connection to ${endpoint} within 30 ms`);
    expect(() => unixSocketPath("tcp://localhost:1")).toThrow("expected unix:///absolute/path");
    expect(unixSocketPath("unix:/run/a.sock")).toBe("/run/a.sock");
  });
});
