// How service accounts appear as users: "system:serviceaccount:<namespace>:<name>", member of two fixed groups.
import { isDNS1123Label, isDNS1123Subdomain } from "../../api/meta/names.ts";
import type { UserInfo } from "./user.ts";

const prefix = "system:serviceaccount:";

const allServiceAccountsGroup = "system:serviceaccounts";

export interface ServiceAccountKey {
  readonly namespace: string;
  readonly name: string;
}

export function serviceAccountUsername({ namespace, name }: ServiceAccountKey): string {
  return `${prefix}${namespace}:${name}`;
}

/** The account a user name stands for; undefined for other users. */
export function parseServiceAccountUsername(username: string): ServiceAccountKey | undefined {
  if (!username.startsWith(prefix)) return undefined;
  const [namespace = "", name = "", ...more] = username.slice(prefix.length).split(":");
  if (more.length > 0 || isDNS1123Label(namespace).length > 0 || isDNS1123Subdomain(name).length > 0) return undefined;
  return { namespace, name };
}

export function serviceAccountGroups(namespace: string): readonly string[] {
  return [allServiceAccountsGroup, `${allServiceAccountsGroup}:${namespace}`];
}

/** An object's name and uid, as they stand in tokens. */
export interface ObjectRef {
  readonly name: string;
  readonly uid?: string;
}

export interface ServiceAccountIdentity extends ServiceAccountKey {
  readonly uid: string;
  /** The id of the credential: "JTI=<uuid>". */
  readonly credentialId?: string;
  readonly pod?: ObjectRef | undefined;
  readonly node?: ObjectRef | undefined;
}

/** Keys of a user's extra information that tell which token was used and what it is bound to. */
const extraKeys = {
  credentialId: "authentication.kubernetes.io/credential-id",
  podName: "authentication.kubernetes.io/pod-name",
  podUid: "authentication.kubernetes.io/pod-uid",
  nodeName: "authentication.kubernetes.io/node-name",
  nodeUid: "authentication.kubernetes.io/node-uid",
} as const;

export function serviceAccountUser(identity: ServiceAccountIdentity): UserInfo {
  const { pod, node, credentialId } = identity;
  const extra: Record<string, readonly string[]> = {
    ...(credentialId ? { [extraKeys.credentialId]: [credentialId] } : {}),
    ...(pod ? { [extraKeys.podName]: [pod.name], [extraKeys.podUid]: [pod.uid ?? ""] } : {}),
    ...(node ? { [extraKeys.nodeName]: [node.name] } : {}),
    ...(node?.uid ? { [extraKeys.nodeUid]: [node.uid] } : {}),
  };
  return {
    name: serviceAccountUsername(identity),
    uid: identity.uid,
    groups: serviceAccountGroups(identity.namespace),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}
