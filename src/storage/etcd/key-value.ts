// From etcd's messages to the store's.
import type { KeyValue, StoreEvent } from "../store.ts";
import type { EtcdEvent, EtcdKeyValue } from "./protocol.ts";

export function toKeyValue(kv: EtcdKeyValue): KeyValue {
  return { key: kv.key, value: kv.value, createRevision: kv.createRevision, modRevision: kv.modRevision, version: kv.version };
}

export function toEvent({ type, kv, prevKv }: EtcdEvent): StoreEvent {
  const key = kv?.key ?? "";
  const revision = kv?.modRevision ?? 0;
  const previous = prevKv ? { previous: toKeyValue(prevKv) } : undefined;
  return type === "PUT" && kv
    ? { type: "put", key, revision, kv: toKeyValue(kv), ...previous }
    : { type: "delete", key, revision, ...previous };
}
