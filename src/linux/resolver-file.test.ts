import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findResolverFile, nameserversOf } from "./resolver-file.ts";

describe("findResolverFile()", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "coracle-resolver-"));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };

  test("takes the usual file where it names a resolver that others reach", async () => {
    const usual = await file("a", "search example.test\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n");
    const other = await file("b", "nameserver 192.0.2.54\n");
    expect(await findResolverFile([usual, other])).toEqual({ path: usual, nameservers: ["127.0.0.53", "192.0.2.53"] });
  });

  test("takes the one behind a stub on loopback", async () => {
    const usual = await file("a", "nameserver 127.0.0.53\noptions edns0 trust-ad\n");
    const other = await file("b", "nameserver 192.0.2.54\n");
    expect(await findResolverFile([usual, join(directory, "missing"), other])).toEqual({ path: other, nameservers: ["192.0.2.54"] });
  });

  test("stays with the usual one where there is no other", async () => {
    const usual = await file("a", "nameserver ::1\n");
    expect(await findResolverFile([usual, join(directory, "missing")])).toEqual({ path: usual, nameservers: ["::1"] });
    expect(await findResolverFile([join(directory, "missing")])).toEqual({ path: join(directory, "missing"), nameservers: [] });
  });
});

test("nameserversOf() leaves out comments and what is no address", () => {
  expect(nameserversOf("# nameserver 192.0.2.1\nnameserver\tfe80::1%eth0\nnameserver dns.example\n  nameserver 192.0.2.2 # x\n")).toEqual([
    "fe80::1%eth0",
    "192.0.2.2",
  ]);
});
