// Where audit events go. Back ends are stacked: batching and truncation are back ends in front of another one.
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Series } from "../../base/metrics.ts";
import type { AuditEvent } from "./audit-event.ts";

export interface AuditBackend extends Running {
  /** Takes events over. Throws where it has to be known that it could not. */
  write(events: readonly AuditEvent[]): Promise<void> | void;
}

/** Every event to each of them, whatever becomes of it at the others; what went wrong is thrown in the end. */
export function unionBackend(backends: readonly AuditBackend[]): AuditBackend {
  const [only] = backends;
  if (only && backends.length === 1) return only;
  return {
    async write(events) {
      const failures: unknown[] = [];
      for (const backend of backends) {
        try {
          await backend.write(events);
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length === 1) throw failures[0];
      if (failures.length > 1) throw new AggregateError(failures, failures.map(errorText).join("; "));
    },
    async stop() {
      await Promise.all(backends.map((backend) => backend.stop()));
    },
  };
}

export interface BlockingDeps {
  readonly next: AuditBackend;
  readonly logger: Logger;
  /** Counts what is lost. */
  readonly errors: Series;
}

/** Requests wait until their events are written; what cannot be is counted, and refuses them only where that is `strict`. */
export function blockingBackend({ next, logger, errors }: BlockingDeps, { strict }: { readonly strict: boolean }): AuditBackend {
  const failed = (events: readonly AuditEvent[], error: unknown): void => {
    errors.add(events.length);
    logger.error("Audit events not written", { events: events.length, error });
    if (strict) throw error;
  };
  return {
    write(events) {
      try {
        const written = next.write(events);
        return written?.catch((error: unknown) => failed(events, error));
      } catch (error) {
        return failed(events, error);
      }
    },
    stop: () => next.stop(),
  };
}
