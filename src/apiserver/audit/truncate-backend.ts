// Keeps events and batches within what a back end takes: an event that is too large loses its objects and says so by an
// annotation, one that still is too large is dropped, and a batch that is too large becomes several.
import type { Logger } from "../../base/log.ts";
import type { Series } from "../../base/metrics.ts";
import type { AuditBackend } from "./audit-backend.ts";
import type { AuditEvent } from "./audit-event.ts";

export interface TruncateOptions {
  readonly maxEventBytes: number;
  readonly maxBatchBytes: number;
}

export interface TruncateDeps {
  readonly next: AuditBackend;
  readonly logger: Logger;
  readonly errors: Series;
}

const annotation = "audit.k8s.io/truncated";

export function createTruncateBackend(
  { next, logger, errors }: TruncateDeps,
  { maxEventBytes, maxBatchBytes }: TruncateOptions,
): AuditBackend {
  return {
    async write(events) {
      let batch: AuditEvent[] = [];
      let batchBytes = 0;
      for (const event of events) {
        let kept = event;
        let bytes = sizeOf(event);
        if (bytes > maxEventBytes) {
          kept = truncated(event);
          bytes = sizeOf(kept);
        }
        if (bytes > maxEventBytes) {
          errors.add();
          logger.error("Audit event dropped: too large even without its objects", { auditID: event.auditID });
          continue;
        }
        if (batch.length > 0 && batchBytes + bytes > maxBatchBytes) {
          await next.write(batch);
          [batch, batchBytes] = [[], 0];
        }
        batch.push(kept);
        batchBytes += bytes;
      }
      if (batch.length > 0) await next.write(batch);
    },
    stop: () => next.stop(),
  };
}

const sizeOf = (event: AuditEvent): number => Buffer.byteLength(JSON.stringify(event));

function truncated({ requestObject: _1, responseObject: _2, ...event }: AuditEvent): AuditEvent {
  return { ...event, annotations: { ...event.annotations, [annotation]: "true" } };
}
