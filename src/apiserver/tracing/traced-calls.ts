// What requests ask of others, as spans: the store, and webhooks, which are told of the trace by a header.
import type { Tracer } from "../../base/tracing.ts";
import type { Store } from "../../storage/store.ts";
import type { WebhookClient } from "../webhook/webhook-client.ts";

/** `kind`: "etcd", whose calls have the names of its interface, or what else it is. */
export function tracedStore(store: Store, tracer: Tracer, kind: string): Store {
  const isEtcd = kind === "etcd";
  const traced = <T>(method: "Range" | "Txn", key: string, work: () => Promise<T>): Promise<T> => {
    const name = isEtcd ? `etcdserverpb.KV/${method}` : `${method} ${kind}`;
    const attributes = { ...(isEtcd ? { "rpc.system.name": "grpc", "rpc.method": name } : {}), key };
    return tracer.within(name, { attributes, ...(isEtcd ? { kind: "client" } : {}) }, work);
  };
  return {
    currentRevision: () => store.currentRevision(),
    get: (key, options) => traced("Range", key, () => store.get(key, options)),
    range: (options) => traced("Range", options.start, () => store.range(options)),
    transact: (transaction) => traced("Txn", transaction.operations[0]?.key ?? "", () => store.transact(transaction)),
    watch: (options) => store.watch(options),
    requestProgress: () => store.requestProgress(),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
  };
}

export function tracedWebhooks(client: WebhookClient, tracer: Tracer): WebhookClient {
  return {
    post(target, call) {
      const attributes = { "http.request.method": "POST", "url.full": target.url };
      return tracer.within("HTTP POST", { kind: "client", attributes }, () => {
        const traceparent = tracer.traceparent();
        return client.post(target, traceparent === undefined ? call : { ...call, traceparent });
      });
    },
    stop: () => client.stop(),
  };
}
