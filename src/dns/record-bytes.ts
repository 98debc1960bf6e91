// The cluster's records in the terms of the codec.
import type { Answer as PacketRecord } from "dns-packet";
import type { ClusterRecord } from "./cluster-records.ts";
import { wireName } from "./wire.ts";

/** The record's owner is given when it is encoded. */
export function asPacketRecord(record: ClusterRecord, ttl: number): PacketRecord {
  switch (record.type) {
    case "A":
    case "AAAA":
      return { type: record.type, name: "", ttl, data: record.address };
    case "NS":
    case "PTR":
      return { type: record.type, name: "", ttl, data: record.target };
    case "TXT":
      return { type: "TXT", name: "", ttl, data: record.text };
    case "SRV":
      return { type: "SRV", name: "", ttl, data: { priority: 0, weight: record.weight, port: record.port, target: record.target } };
  }
}

export function nameBytes(name: string): Uint8Array {
  return Buffer.from(wireName(name), "latin1");
}
