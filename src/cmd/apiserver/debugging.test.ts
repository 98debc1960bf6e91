// Profiles of a running API server, at its port and at a socket.
import { request } from "node:http";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { pprofV1 } from "../../apiserver/debug/pprof-format.ts";
import { createCodecs } from "../../rpc/protobuf.ts";
import { ApiServerFixture, call } from "./apiserver-fixture.ts";

interface Profile {
  readonly sampleType: readonly { readonly type: number; readonly unit: number }[];
  readonly sample: readonly { readonly locationId: readonly number[]; readonly value: readonly number[] }[];
  readonly location: readonly { readonly id: number; readonly line: readonly { readonly functionId: number }[] }[];
  readonly function: readonly { readonly id: number; readonly name: number }[];
  readonly stringTable: readonly string[];
  readonly durationNanos: bigint;
}

const decode = (bytes: Uint8Array): Profile => createCodecs(pprofV1).of<Profile>("Profile").decode(gunzipSync(bytes));

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
}

function ask(socketPath: string, path: string, method = "GET", body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), headers: response.headers }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

test("--debug-socket-path serves profiles that pprof reads, and takes the verbosity of the log", async () => {
  await using f = await ApiServerFixture.create();
  const socket = join(f.directory, "debug", "socket");
  const server = await f.start("--debug-socket-path", socket);
  let busy = true;
  const work = (async () => {
    while (busy) await call(server, "/readyz?verbose");
  })();
  const [cpu, refused] = await Promise.all([ask(socket, "/debug/pprof/profile?seconds=1"), ask(socket, "/debug/pprof/profile?seconds=1")]);
  const heap = await ask(socket, "/debug/pprof/heap?seconds=1");
  busy = false;
  await work;
  expect([cpu.status, refused.status, heap.status]).toEqual([200, 500, 200]);
  expect(cpu.headers["content-disposition"]).toBe('attachment; filename="profile"');
  const profile = decode(cpu.body);
  const textOf = (number: number | undefined): string | undefined => profile.stringTable[number ?? -1];
  expect(profile.stringTable[0]).toBe("");
  expect(profile.sampleType.map(({ type, unit }) => [textOf(type), textOf(unit)])).toEqual([
    ["samples", "count"],
    ["cpu", "nanoseconds"],
  ]);
  expect(profile.durationNanos).toBe(1_000_000_000n);
  const names = profile.function.map(({ name }) => textOf(name));
  expect(names).toContain("processTicksAndRejections");
  const locations = new Set(profile.location.map(({ id }) => id));
  expect(profile.sample.length).toBeGreaterThan(0);
  for (const { locationId, value } of profile.sample) {
    expect(value).toHaveLength(2);
    expect(locationId.every((id) => locations.has(id))).toBe(true);
  }
  expect(decode(heap.body).sampleType).toHaveLength(2);
  expect((await ask(socket, "/debug/pprof")).headers.location).toBe("/debug/pprof/");
  expect((await ask(socket, "/debug/pprof/")).body.toString()).toContain('href="profile"');
  expect((await ask(socket, "/debug/pprof/goroutine")).status).toBe(404);
  expect((await ask(socket, "/debug/pprof/profile?seconds=999")).status).toBe(400);
  expect((await ask(socket, "/debug/flags/v")).status).toBe(406);
  expect((await ask(socket, "/debug/flags/v", "PUT", "4")).body.toString()).toBe("successfully set klog.logging.verbosity to 4");
  expect((await ask(socket, "/debug/flags/v", "PUT", "x")).body.toString()).toBe('strconv.ParseUint: parsing "x": invalid syntax');
  expect((await ask(socket, "/api")).status).toBe(404);
}, 120_000);

test("--profiling serves them at the port, to who may ask", async () => {
  await using f = await ApiServerFixture.create();
  const users = await f.file("users.csv", 'T,admin,1,"system:masters"\nU,user,2,"dev"\n');
  const server = await f.start("--profiling", "--token-auth-file", users);
  expect((await call(server, "/debug/pprof/cmdline", { token: "U" })).status).toBe(403);
  expect((await call(server, "/debug/pprof/cmdline", { token: "T" })).text).toContain(process.argv[0]);
  expect((await call(server, "/debug/pprof/", { token: "T" })).text).toContain("/debug/pprof/");
  expect((await call(server, "/debug/flags/v", { token: "T", method: "PUT", body: 3 })).text).toContain("verbosity to 3");
  expect((await call(server, "/debug/api_priority_and_fairness/dump_queues", { token: "T" })).status).toBe(200);
  expect(await f.problem("--debug-socket-path=/proc/none/socket")).toContain("--debug-socket-path: ");
  await using g = await ApiServerFixture.create();
  const plain = await g.start("--token-auth-file", users);
  expect((await call(plain, "/debug/pprof/cmdline", { token: "T" })).status).toBe(404);
});
