// Who asks: what authentication finds out, and what everything behind it decides by.

export interface UserInfo {
  /** "system:serviceaccount:kube-system:default", "alice", "system:anonymous". */
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const anonymousUser: UserInfo = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** The identity of the API server's own calls: may do everything. */
export const loopbackUser: UserInfo = { name: "system:apiserver", groups: ["system:masters", "system:authenticated"] };
