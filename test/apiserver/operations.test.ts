// What operators of an API server switch on, used as they use it: the command with its flags, a client over HTTPS, and a look
// at what lies on disk afterwards. Encryption at rest, audit and the limits on requests.
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { secrets } from "../../src/api/resources.generated.ts";
import { createClient } from "../../src/client/create-client.ts";
import { adminTransport, startApiServerProcess } from "../support/apiserver-process.ts";
import { coracle, temporaryDirectory } from "../support/processes.ts";

const directory = await temporaryDirectory("operations");
const file = (name: string): string => join(directory.path, name);
const password = "correct-horse-battery-staple";

beforeAll(async () => {
  const key = Buffer.alloc(32, 7).toString("base64");
  await writeFile(
    file("encryption.yaml"),
    `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: one, secret: "${key}"}]}
  - identity: {}
`,
    { mode: 0o600 },
  );
  await writeFile(
    file("policy.yaml"),
    `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:apiserver"]}
- {level: Metadata, resources: [{group: "", resources: [secrets]}]}
`,
  );
});
afterAll(() => directory.remove());

test("a secret lies encrypted in the store, is read in clear, and its writer is in the audit log, which is for its owner alone", async () => {
  const log = file("audit.log");
  const flags = [
    "--encryption-provider-config",
    file("encryption.yaml"),
    "--audit-policy-file",
    file("policy.yaml"),
    "--audit-log-path",
    log,
  ];
  // The last of a flag's values counts: LMDB, whose file can be searched.
  const server = await startApiServerProcess(["--storage", "lmdb", ...flags]);
  try {
    const transport = await adminTransport(server.dataDir);
    const client = createClient(transport);
    const data = { password: Buffer.from(password).toString("base64") };
    await client.create(secrets, { metadata: { name: "login", namespace: "default" }, data });
    expect((await client.get(secrets, { name: "login", namespace: "default" })).data).toEqual(data);
    await transport.close();
  } finally {
    await server.process.stop();
  }
  const stored = await readFile(join(server.dataDir, "lmdb", "data.mdb"), "latin1");
  expect(stored).toContain("k8s:enc:secretbox:v1:one:");
  expect(stored).not.toContain(Buffer.from(password).toString("base64"));
  expect(stored).not.toContain(password);

  const text = await readFile(log, "utf8");
  const events = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as AuditLine);
  expect(
    events.map(({ verb, level, objectRef, user, responseStatus }) => [verb, level, objectRef.name, user.username, responseStatus.code]),
  ).toEqual([
    ["create", "Metadata", "login", "kubernetes-admin", 201],
    ["get", "Metadata", "login", "kubernetes-admin", 200],
  ]);
  expect(text).not.toContain(password);
  expect((await stat(log)).mode & 0o777).toBe(0o600);
  await server.stop();
});

interface AuditLine {
  readonly verb: string;
  readonly level: string;
  readonly objectRef: { readonly name: string };
  readonly user: { readonly username: string };
  readonly responseStatus: { readonly code: number };
}

test.each([
  ["--encryption-provider-config", "kind: EncryptionConfiguration", /^coracle apiserver: --encryption-provider-config: .*apiVersion/],
  [
    "--audit-policy-file",
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]",
    /^coracle apiserver: --audit-policy-file: .*level/,
  ],
])("%s with a file that is wrong: one line that names flag and field, and nothing written", async (flag, content, line) => {
  const path = file(`wrong${flag}`);
  await writeFile(path, content);
  const dataDir = file(`data${flag}`);
  const { code, stderr } = await coracle([
    "apiserver",
    "--storage",
    "memory",
    "--secure-port",
    "0",
    "--data-dir",
    dataDir,
    "--audit-log-path",
    file("wrong.log"),
    flag,
    path,
  ]);
  expect(code).toBe(1);
  expect(stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(line)]);
  expect(await readdir(directory.path)).not.toContain("wrong.log");
});
