// Audit events as lines: JSON, or the older legible form, to a file that rotates or to standard output.
import { goQuoted } from "../../base/go-quoted.ts";
import type { AuditBackend } from "./audit-backend.ts";
import type { AuditEvent } from "./audit-event.ts";

export type AuditLogFormat = "json" | "legacy";

export interface LineSink {
  append(text: string): void;
  close(): Promise<void>;
}

export const standardOutput: LineSink = {
  append: (text) => void process.stdout.write(text),
  close: async () => undefined,
};

export function createLogBackend(sink: LineSink, format: AuditLogFormat): AuditBackend {
  const lineOf = format === "json" ? (event: AuditEvent) => `${JSON.stringify(event)}\n` : legacyLine;
  return {
    write: (events) => sink.append(events.map(lineOf).join("")),
    stop: () => sink.close(),
  };
}

function legacyLine(event: AuditEvent): string {
  const { user, impersonatedUser, objectRef, sourceIPs } = event;
  const ip = sourceIPs?.[0] ?? "<unknown>";
  const as = impersonatedUser
    ? { name: impersonatedUser.username ?? "", groups: impersonatedUser.groups ? joined(impersonatedUser.groups) : "<lookup>" }
    : { name: "<self>", groups: "<lookup>" };
  const groups = user.username && user.groups?.length ? joined(user.groups) : "<none>";
  const response = (event.responseStatus as { readonly code?: number } | undefined)?.code ?? "<deferred>";
  const namespace = objectRef?.namespace ?? "<none>";
  const q = goQuoted;
  return (
    `${event.requestReceivedTimestamp} AUDIT: id=${q(event.auditID)} stage=${q(event.stage)} ip=${q(ip)} method=${q(event.verb)} ` +
    `user=${q(user.username || "<none>")} groups=${q(groups)} as=${q(as.name)} asgroups=${q(as.groups)} ` +
    `user-agent=${q(event.userAgent ?? "")} namespace=${q(namespace)} uri=${q(event.requestURI)} response=${q(String(response))}\n`
  );
}

/** Quoted and joined, as the older logs had them. */
const joined = (groups: readonly string[]): string => groups.map(goQuoted).join(",");
