// Whom the metrics API answers: the cluster's front proxy alone, which has authenticated and authorized the client before. How
// to know it stands in kube-system/extension-apiserver-authentication, as every extension server learns it.
import type { TLSSocket } from "node:tls";
import { configmaps } from "../api/resources.generated.ts";
import type { ConfigMap } from "../api/types/core-v1.ts";
import type { Running } from "../base/lifecycle.ts";
import type { InformerFactory } from "../client/informer.ts";

export interface FrontProxy {
  /** PEM of what signs its certificates. */
  readonly caPem: string;
  /** Common names it may have; empty for any. */
  readonly allowedNames: readonly string[];
}

const namespace = "kube-system";
const name = "extension-apiserver-authentication";

/** Calls back with what the config map says, now and whenever it changes. */
export function followFrontProxy(informers: InformerFactory, onChange: (proxy: FrontProxy) => void): Running {
  const informer = informers.informer(configmaps, { namespace, fieldSelector: `metadata.name=${name}` });
  let last = "";
  const changed = (map: ConfigMap): void => {
    const proxy = readFrontProxy(map);
    const text = JSON.stringify(proxy);
    if (!proxy || text === last) return;
    last = text;
    onChange(proxy);
  };
  const handler = informer.addHandler({ onAdd: changed, onUpdate: changed });
  return { stop: async () => handler.remove() };
}

/** Undefined where no front proxy is told of. */
export function readFrontProxy({ data = {} }: ConfigMap): FrontProxy | undefined {
  const caPem = data["requestheader-client-ca-file"];
  if (!caPem) return undefined;
  return { caPem, allowedNames: namesOf(data["requestheader-allowed-names"] ?? "[]") };
}

function namesOf(text: string): readonly string[] {
  const names: unknown = JSON.parse(text);
  return Array.isArray(names) ? names.filter((entry) => typeof entry === "string") : [];
}

export function isFrontProxy(socket: TLSSocket, { allowedNames }: FrontProxy): boolean {
  if (!socket.authorized) return false;
  const [commonName] = [socket.getPeerCertificate().subject?.CN ?? []].flat();
  return allowedNames.length === 0 || (commonName !== undefined && allowedNames.includes(commonName));
}
