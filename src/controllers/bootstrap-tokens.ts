// The two controllers of bootstrap tokens, which run only where --controllers names them (kubeadm does):
// bootstrap-signer-controller signs the cluster's address and authority, which are public (kube-public/cluster-info), with each
// token, so that who joins with one can believe them; token-cleaner-controller deletes tokens that have expired.
import { createHmac } from "node:crypto";
import { bytesOfBase64 } from "../api/meta/base64.ts";
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { parseTime } from "../api/meta/time.ts";
import { configmaps, secrets } from "../api/resources.generated.ts";
import type { ConfigMap, Secret } from "../api/types/core-v1.ts";
import { type Controller, watch } from "./controller.ts";

const tokenType = "bootstrap.kubernetes.io/token";
const tokensOnly = { namespace: "kube-system", fieldSelector: `type=${tokenType}` };
const clusterInfo = "kube-public/cluster-info";
const signaturePrefix = "jws-kubeconfig-";

function dataOf({ data }: Secret, key: string): string {
  const value = data?.[key];
  return value === undefined ? "" : new TextDecoder().decode(bytesOfBase64(value));
}

/** When a token expires; undefined for never. One whose date cannot be read has expired. */
function expiryMs(secret: Secret): number | undefined {
  const expiration = dataOf(secret, "expiration");
  return expiration === "" ? undefined : (parseTime(expiration) ?? 0);
}

/** A JSON web signature (HS256) without its content, as RFC 7515 appendix F has it. */
export function detachedSignature(content: string, { id, secret }: { readonly id: string; readonly secret: string }): string {
  const header = Buffer.from(JSON.stringify({ alg: "HS256", kid: id })).toString("base64url");
  const signed = `${header}.${Buffer.from(content).toString("base64url")}`;
  return `${header}..${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** The config map's data with the signatures of these tokens and no others. */
export function signedData(
  data: Readonly<Record<string, string>>,
  tokens: readonly Secret[],
  nowMs: number,
): Readonly<Record<string, string>> {
  const { kubeconfig } = data;
  if (kubeconfig === undefined) return data;
  const unsigned = Object.entries(data).filter(([key]) => !key.startsWith(signaturePrefix));
  const signatures = new Map<string, string>();
  for (const token of tokens) {
    const id = dataOf(token, "token-id");
    const secret = dataOf(token, "token-secret");
    const isNamed = /^[a-z0-9]{6}$/.test(id) && token.metadata.name === `bootstrap-token-${id}`;
    const isGood = (expiryMs(token) ?? Number.POSITIVE_INFINITY) > nowMs && dataOf(token, "usage-bootstrap-signing") === "true";
    if (isNamed && isGood && secret !== "") signatures.set(`${signaturePrefix}${id}`, detachedSignature(kubeconfig, { id, secret }));
  }
  return Object.fromEntries([...unsigned, ...signatures]);
}

export const bootstrapSigner: Controller = {
  name: "bootstrap-signer-controller",
  serviceAccount: "bootstrap-signer",
  isOffByDefault: true,
  workers: 1,
  create({ client, clock, informers }) {
    const mapInformer = informers.informer(configmaps, { namespace: "kube-public", fieldSelector: "metadata.name=cluster-info" });
    const tokenInformer = informers.informer(secrets, tokensOnly);
    return {
      watches: [watch(mapInformer, () => [clusterInfo]), watch(tokenInformer, () => [clusterInfo])],
      async reconcile(key, { signal }) {
        const map = mapInformer.get(key);
        if (!map) return undefined;
        const data = signedData(map.data ?? {}, [...tokenInformer.list()], clock.now());
        if (isSame(data, map.data ?? {})) return undefined;
        try {
          await client.update<ConfigMap>(configmaps, { ...map, data }, { signal });
        } catch (error) {
          if (!isStatus(error, "Conflict", "NotFound")) throw error;
        }
        return undefined;
      },
    };
  },
};

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

export const tokenCleaner: Controller = {
  name: "token-cleaner-controller",
  serviceAccount: "token-cleaner",
  isOffByDefault: true,
  workers: 1,
  create({ client, clock, informers }) {
    const tokenInformer = informers.informer(secrets, tokensOnly);
    return {
      watches: [watch(tokenInformer, (token) => [keyOf(token)])],
      async reconcile(key, { signal }) {
        const token = tokenInformer.get(key);
        const untilMs = token && expiryMs(token);
        if (!token || untilMs === undefined) return undefined;
        const leftMs = untilMs - clock.now();
        if (leftMs > 0) return { requeueAfterMs: leftMs };
        const { namespace, name, uid } = token.metadata;
        try {
          await client.delete(secrets, { namespace, name }, { signal, body: { preconditions: { uid } } });
        } catch (error) {
          if (!isStatus(error, "NotFound", "Conflict")) throw error;
        }
        return undefined;
      },
    };
  },
};
