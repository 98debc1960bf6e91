// Where audit events go. Back ends are stacked: batching and truncation are back ends in front of another one.
import type { Running } from "../../base/lifecycle.ts";
import type { AuditEvent } from "./audit-event.ts";

export interface AuditBackend extends Running {
  /** Takes events over. Throws where it has to be known that it could not. */
  write(events: readonly AuditEvent[]): Promise<void> | void;
}

/** Every event to each of them. */
export function unionBackend(backends: readonly AuditBackend[]): AuditBackend {
  const [only] = backends;
  if (only && backends.length === 1) return only;
  return {
    async write(events) {
      for (const backend of backends) await backend.write(events);
    },
    async stop() {
      await Promise.all(backends.map((backend) => backend.stop()));
    },
  };
}
