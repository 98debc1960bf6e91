// The header by which a server tells a peer that a request has been passed on once: the peer answers it itself, so that none goes
// round and round.
import type { ApiRequest } from "../request.ts";

const header = "x-kubernetes-peer-proxied";

export const markedAsPassedOn: Readonly<Record<string, string>> = { [header]: "true" };

export const isPassedOn = ({ headers }: Pick<ApiRequest, "headers">): boolean => headers[header] === "true";
