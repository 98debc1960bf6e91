// Which node a user is: kubelets are system:node:<name> in group system:nodes.
import type { UserInfo } from "./user.ts";

const prefix = "system:node:";

/** The node's name, "" for a member of system:nodes without one; undefined for users who are no nodes. */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (!user.name.startsWith(prefix) || !user.groups.includes("system:nodes")) return undefined;
  return user.name.slice(prefix.length);
}
