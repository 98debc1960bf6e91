import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { createLogger } from "../../base/log.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { SchedulerCache } from "../cache.ts";
import type { ExtenderSettings } from "../configuration/extender-settings.ts";
import type { Profile } from "../framework.ts";
import { nodeName } from "../plugins/node.ts";
import { testNode, testPod } from "../test-objects.ts";
import { decideWithExtenders } from "./decide-with-extenders.ts";
import { createExtenderPlugin, narrowCandidates } from "./extender-plugin.ts";
import { createHttpExtender } from "./http-extender.ts";
import { checkTls } from "./post-json.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

type Call = { readonly path: string; readonly body: Record<string, unknown> };
type Answer = (call: Call) => unknown;

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const part of request) text += part;
  return JSON.parse(text) as Record<string, unknown>;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A real server; an answer of undefined never comes, a number is a status. */
const answering =
  (calls: Call[], answer: Answer): RequestListener =>
  async (request, response) => {
    const call = { path: request.url ?? "", body: await bodyOf(request) };
    calls.push(call);
    const reply = answer(call);
    if (reply === undefined) return;
    response.statusCode = typeof reply === "number" ? reply : 200;
    response.end(JSON.stringify(reply));
  };

async function setUp(answer: Answer, more: Partial<ExtenderSettings> = {}) {
  const calls: Call[] = [];
  const port = await listen(createServer(answering(calls, answer)));
  return { calls, extender: extenderAt(`http://127.0.0.1:${port}/scheduler/`, more) };
}

function extenderAt(urlPrefix: string, more: Partial<ExtenderSettings>, clock = realClock) {
  const verbs = { filterVerb: "filter", prioritizeVerb: "", preemptVerb: "", bindVerb: "" };
  const none = { tls: undefined, enableHttps: false, managedResources: [], ignorable: false, nodeCacheCapable: true };
  const extender = createHttpExtender({ urlPrefix, ...verbs, weight: 1, timeoutMs: 5_000, ...none, ...more }, clock);
  cleanUp.push(() => extender.close());
  return extender;
}

const profile: Profile = { schedulerName: "s", plugins: [nodeName] };
const logger = createLogger("test", { write: () => undefined });

function decideOn(extenders: ReturnType<typeof createHttpExtender>[], nodes: readonly Node[], pod: Pod = testPod("p")) {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  const { signal } = new AbortController();
  const cycle = { pod, snapshot: cache, state: new Map<string, unknown>() };
  return decideWithExtenders(cycle, profile, { extenders, logger, signal, random: () => 0.99, startAt: 0 });
}

const three = ["a", "b", "c"].map((name) => testNode(name));

describe("an extender's certificates", () => {
  it("are there, and go together with what is believed", () => {
    const check = (tls: NonNullable<ExtenderSettings["tls"]>) => () => checkTls({ tls, enableHttps: true });
    expect(check({ insecure: false, caFile: "/no/such/file" })).toThrow("open /no/such/file: no such file or directory");
    expect(check({ insecure: true, caData: "Zm9v" })).toThrow("specifying a root certificates file with the insecure flag is not allowed");
    expect(check({ insecure: true })).not.toThrow();
  });
});

describe("an extender's filter", () => {
  it("leaves out nodes, asked by name where it caches nodes", async () => {
    const t = await setUp(() => ({ nodenames: ["c"], failedNodes: { a: "too far" } }));
    expect(await decideOn([t.extender], three)).toMatchObject({ kind: "node", nodeName: "c" });
    expect(t.calls[0]?.path).toBe("/scheduler/filter");
    expect(t.calls[0]?.body).toMatchObject({ NodeNames: ["a", "b", "c"], Nodes: null, Pod: { metadata: { name: "p" } } });
  });

  it("gets whole nodes where it does not", async () => {
    const t = await setUp(({ body }) => ({ Nodes: { items: (body.Nodes as { items: Node[] }).items.slice(1, 2) } }), {
      nodeCacheCapable: false,
    });
    expect(await decideOn([t.extender], three)).toMatchObject({ nodeName: "b" });
    expect(t.calls[0]?.body.NodeNames).toBeNull();
  });

  it("tells why no node is left", async () => {
    const failed = { FailedNodes: { a: "too far", b: "too far" }, FailedAndUnresolvableNodes: { c: "never" } };
    const t = await setUp(() => ({ NodeNames: [], ...failed }));
    const result = await decideOn([t.extender], three);
    expect(result).toMatchObject({ kind: "unschedulable", message: "0/3 nodes are available: 1 never, 2 too far." });
    if (result.kind !== "unschedulable") throw new Error("unreachable");
    expect([...result.rejectedBy]).toEqual(["Extender"]);
    expect(result.rejections.get("c")?.unresolvable).toBe(true);
    expect(result.rejections.get("a")?.unresolvable).toBe(false);
  });

  it("fails the attempt when it fails, unless it may be ignored", async () => {
    const broken = await setUp(() => 500);
    await expect(decideOn([broken.extender], three)).rejects.toThrow(
      /^failed filter with extender at URL http.*\/scheduler\/filter, code 500$/,
    );
    const complaining = await setUp(() => ({ Error: "out of order" }));
    await expect(decideOn([complaining.extender], three)).rejects.toThrow("out of order");
    await expect(decideOn([extenderAt("http://127.0.0.1:1/scheduler", {})], three)).rejects.toThrow(
      'Post "http://127.0.0.1:1/scheduler/filter": dial tcp 127.0.0.1:1: connect: connection refused',
    );
    const ignorable = await setUp(() => 500, { ignorable: true });
    expect(await decideOn([ignorable.extender], three)).toMatchObject({ kind: "node" });
    const inventing = await setUp(() => ({ NodeNames: ["z"] }));
    await expect(decideOn([inventing.extender], three)).rejects.toThrow(
      'claims a filtered node "z" which is not found in the input node list',
    );
  });

  it("is not waited for beyond its deadline", async () => {
    const calls: Call[] = [];
    const port = await listen(createServer(answering(calls, () => undefined)));
    const clock = new VirtualClock();
    const extender = extenderAt(`http://127.0.0.1:${port}`, { timeoutMs: 3_000 }, clock);
    const deciding = decideOn([extender], three);
    const failing = expect(deciding).rejects.toThrow(
      /^Post "http.*\/filter": context deadline exceeded \(Client.Timeout exceeded while awaiting headers\)$/,
    );
    await clock.advance(3_001);
    await failing;
  });

  it("is asked only about pods with its resources", async () => {
    const t = await setUp(() => ({ NodeNames: ["c"] }), { managedResources: [{ name: "example.com/gpu", ignoredByScheduler: false }] });
    const wanting = testPod("w", { spec: { containers: [{ name: "c", image: "i", resources: { limits: { "example.com/gpu": "1" } } }] } });
    expect(t.extender.isInterested(testPod("p"))).toBe(false);
    expect(t.extender.isInterested(wanting)).toBe(true);
  });
});

describe("an extender's scores", () => {
  it("are added, by weight and to 100", async () => {
    const scores = (host: string, score: number) => [{ Host: host, Score: score }];
    const one = await setUp(() => scores("b", 4), { filterVerb: "", prioritizeVerb: "prioritize", weight: 2 });
    const two = await setUp(() => scores("a", 7), { filterVerb: "", prioritizeVerb: "prioritize" });
    expect(await decideOn([one.extender, two.extender], three)).toMatchObject({ nodeName: "b" });
    expect(one.calls.map((c) => c.path)).toEqual(["/scheduler/prioritize"]);
  });

  it("are missed by nobody when they do not come", async () => {
    const t = await setUp(() => 503, { filterVerb: "", prioritizeVerb: "prioritize" });
    expect(await decideOn([t.extender], three)).toMatchObject({ kind: "node" });
  });
});

describe("an extender that binds", () => {
  const { signal } = new AbortController();
  const bind = async (answer: Answer, more: Partial<ExtenderSettings> = {}) => {
    const t = await setUp(answer, { filterVerb: "", bindVerb: "bind", ...more });
    const plugin = createExtenderPlugin({ extenders: [t.extender], logger });
    const pod = testPod("p");
    return { t, done: plugin.bind?.({ pod, snapshot: new SchedulerCache(), state: new Map() }, "a", signal) };
  };

  it("does it in the scheduler's stead", async () => {
    const { t, done } = await bind(() => ({}));
    expect(await done).toBe(true);
    expect(t.calls[0]?.body).toEqual({ PodName: "p", PodNamespace: "default", PodUID: "pod-p", Node: "a" });
  });

  it("leaves it to the plugins when it fails and may be ignored", async () => {
    const { done } = await bind(() => ({ Error: "no" }), { ignorable: true });
    expect(await done).toBe(false);
    const strict = await bind(() => ({ Error: "no" }));
    await expect(strict.done).rejects.toThrow("no");
  });
});

describe("an extender in preemption", () => {
  const victim = testPod("victim", { spec: { nodeName: "a" } });
  const other = testPod("other", { spec: { nodeName: "b" } });
  const candidates = [
    { nodeName: "a", victims: [victim], violations: 0 },
    { nodeName: "b", victims: [other], violations: 1 },
  ];
  const narrow = async (answer: Answer, more: Partial<ExtenderSettings> = {}) => {
    const t = await setUp(answer, { filterVerb: "", preemptVerb: "preempt", ...more });
    const cache = new SchedulerCache();
    for (const node of three) cache.setNode(node);
    for (const pod of [victim, other]) cache.setPod(pod);
    const cycle = { pod: testPod("p"), snapshot: cache, state: new Map<string, unknown>() };
    const left = narrowCandidates({ extenders: [t.extender], logger }, cycle, candidates)?.(new AbortController().signal);
    return { t, left };
  };

  it("leaves the candidates that it allows", async () => {
    const { t, left } = await narrow(() => ({ NodeNameToMetaVictims: { b: { Pods: [{ UID: "pod-other" }], NumPDBViolations: 0 } } }));
    expect(await left).toEqual([{ nodeName: "b", victims: [other], violations: 0 }]);
    expect(t.calls[0]?.body.NodeNameToMetaVictims).toEqual({
      a: { Pods: [{ UID: "pod-victim" }], NumPDBViolations: 0 },
      b: { Pods: [{ UID: "pod-other" }], NumPDBViolations: 1 },
    });
  });

  it("gets whole pods where it does not cache nodes", async () => {
    const { t, left } = await narrow(() => ({ NodeNameToMetaVictims: {} }), { nodeCacheCapable: false });
    expect(await left).toEqual([]);
    expect(t.calls[0]?.body).toMatchObject({ NodeNameToVictims: { a: { Pods: [{ metadata: { name: "victim" } }] } } });
  });

  it("may not name pods that are not there, or no pods", async () => {
    const unknown = await narrow(() => ({ NodeNameToMetaVictims: { a: { Pods: [{ UID: "x" }] } } }));
    await expect(unknown.left).rejects.toThrow("which is not there");
    const empty = await narrow(() => ({ NodeNameToMetaVictims: { a: { Pods: [] } } }));
    await expect(empty.left).rejects.toThrow('expected at least one victim pod on node "a"');
  });
});

describe("an extender over HTTPS", () => {
  const pair = () => {
    const { publicKey, privateKey } = generateKey();
    const names = { dnsNames: ["extender.test"], ipAddresses: ["127.0.0.1"] };
    const now = realClock.now();
    const certificate = issueCertificate(
      {
        subject: { commonName: "extender", organizations: [] },
        names,
        publicKey,
        notBeforeMs: now - 60_000,
        notAfterMs: now + 600_000,
        keyUsages: ["digitalSignature"],
        extendedKeyUsages: ["serverAuth"],
      },
      { key: privateKey },
    );
    return { cert: certificatePem(certificate), key: privateKeyPem(privateKey) };
  };
  const start = async () => {
    const { cert, key } = pair();
    const port = await listen(
      createTlsServer(
        { cert, key },
        answering([], () => ({ NodeNames: ["b"] })),
      ) as unknown as Server,
    );
    return { url: `https://127.0.0.1:${port}`, caData: Buffer.from(cert).toString("base64") };
  };

  it("is believed with its authority, or without one by enableHTTPS, and not otherwise", async () => {
    const { url, caData } = await start();
    const serverName = "extender.test";
    const trusting = extenderAt(url, { tls: { insecure: false, caData, serverName }, enableHttps: true });
    expect(await decideOn([trusting], three)).toMatchObject({ nodeName: "b" });
    expect(await decideOn([extenderAt(url, { enableHttps: true })], three)).toMatchObject({ nodeName: "b" });
    expect(await decideOn([extenderAt(url, { tls: { insecure: true } })], three)).toMatchObject({ nodeName: "b" });
    await expect(decideOn([extenderAt(url, {})], three)).rejects.toThrow(/self-signed|certificate/);
  });
});
