// The cluster of the conformance tests: one of `coracle/testing`, and what these tests need besides: namespaces of their own,
// extended resources on every node, and waiting that says what it waited for.
import { afterAll, afterEach, beforeAll } from "vitest";
import { parseQuantity } from "../../src/api/meta/quantity.ts";
import { isStatus } from "../../src/api/meta/status-error.ts";
import { namespaces, nodes, serviceaccounts } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import type { Client } from "../../src/client/client.ts";
import { type PresentedCredentials, presentCredentials } from "../../src/client/client-credentials.ts";
import { type ClusterConnection, loadKubeconfig } from "../../src/client/kubeconfig.ts";
import { type ClusterOptions, createCluster, type TestCluster } from "../../src/testing/cluster.ts";

const stepMs = 100;
/** Where minutes are waited for. */
const longStepMs = 1_000;
const longWaitMs = 120_000;

/** One for all tests of a file, with two nodes unless told otherwise. Namespaces last as long as the test that made them. */
export function conformanceCluster({
  keepsNamespaces = false,
  ...options
}: ClusterOptions & { readonly keepsNamespaces?: boolean } = {}): ConformanceCluster {
  const cluster = new ConformanceCluster();
  beforeAll(() => cluster.start({ nodes: 2, ...options }));
  if (!keepsNamespaces) afterEach(() => cluster.clear());
  afterAll(() => cluster.stop());
  return cluster;
}

export class ConformanceCluster {
  #running: TestCluster | undefined;
  #namespaces: string[] = [];

  async start(options: ClusterOptions): Promise<void> {
    this.#running = await createCluster(options);
  }

  async stop(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
  }

  get #cluster(): TestCluster {
    if (!this.#running) throw new Error("the cluster has not been started");
    return this.#running;
  }

  /** Of an administrator. */
  get client(): Client {
    return this.#cluster.client;
  }

  get clock(): TestCluster["clock"] {
    return this.#cluster.clock;
  }

  clientFor(user: string, groups: readonly string[] = []): Client {
    return this.#cluster.clientFor(user, groups);
  }

  /** As an administrator from outside reaches it. */
  async connection(): Promise<ClusterConnection & PresentedCredentials> {
    const connection = await loadKubeconfig({ path: this.#cluster.kubeconfig });
    return { ...connection, ...(await presentCredentials(connection.credentials ?? { kind: "none" }, realClock)()) };
  }

  /** Lets time pass until something is found. What is not there yet is no error. Fails after `limitMs` of virtual time. */
  async until<T>(what: string, look: () => Promise<T | undefined | false>, limitMs = longWaitMs): Promise<T> {
    const found = (): Promise<{ readonly value: T } | undefined> =>
      look().then(
        (value) => (value === undefined || value === false ? undefined : { value }),
        (error: unknown) => {
          if (!isStatus(error, "NotFound")) throw error;
          return undefined;
        },
      );
    const options = { limitMs, stepMs: limitMs > longWaitMs ? longStepMs : stepMs };
    const { value } = await this.#cluster.until(found, options).catch((cause: unknown) => {
      throw new Error(`${what}: not found`, { cause });
    });
    return value;
  }

  /** Lets this much time pass, and what is done meanwhile be done. */
  async pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= longStepMs) {
      await this.#cluster.advance(Math.min(longStepMs, leftMs));
      await realClock.sleep(1);
    }
  }

  /** A new namespace in which pods can be made. */
  async namespace(name: string): Promise<string> {
    await this.client.create(namespaces, { metadata: { name }, spec: {} });
    this.#namespaces.push(name);
    await this.until(`the service account of ${name}`, () => this.client.get(serviceaccounts, { namespace: name, name: "default" }));
    return name;
  }

  /** Deletes the namespaces there are by now, which go as time passes: what nobody looks at any more costs time, too. */
  async clear(): Promise<void> {
    const names = this.#namespaces;
    this.#namespaces = [];
    for (const name of names)
      await this.client.delete(namespaces, { name }).catch((error: unknown) => {
        if (!isStatus(error, "NotFound", "Conflict")) throw error;
      });
  }

  async nodeNames(): Promise<readonly string[]> {
    return (await this.client.list(nodes)).items.map(({ metadata }) => metadata.name ?? "");
  }

  /** Gives every node so many of an extended resource, as administrators do. */
  async provide(resource: string, amount: string): Promise<void> {
    const names = await this.nodeNames();
    for (const name of names)
      await this.client.patch(nodes, { name }, { status: { capacity: { [resource]: amount } } }, { type: "merge", subresource: "status" });
    for (const name of names)
      await this.until(`${resource} on ${name}`, async () => {
        const { status } = await this.client.get(nodes, { name });
        return parseQuantity(status?.allocatable?.[resource] ?? "0").toString() === parseQuantity(amount).toString();
      });
  }
}
