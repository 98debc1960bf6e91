// serviceaccount-token-controller: a secret of type kubernetes.io/service-account-token gets a token of the account that its
// annotation names, the cluster's authority and its namespace, and goes when the account does. The token is asked of the API
// server, bound to the secret: it is good as long as the secret exists, and the longest that can be asked for (136 years).
import { encodeBase64 } from "../api/meta/base64.ts";
import { keyOf, parseKey } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { secrets, serviceaccounts } from "../api/resources.generated.ts";
import type { Secret, ServiceAccount } from "../api/types/core-v1.ts";
import type { Client } from "../client/client.ts";
import type { Informer } from "../client/informer.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";

const tokenType = "kubernetes.io/service-account-token";
const accountNameAnnotation = "kubernetes.io/service-account.name";
const accountUidAnnotation = "kubernetes.io/service-account.uid";
const longestSeconds = 2 ** 32;

const byAccount = "serviceAccount";

/** Key of the account that a token secret is for. */
const accountKeyOf = ({ type, metadata }: Secret): readonly string[] => {
  const name = metadata.annotations?.[accountNameAnnotation];
  return type === tokenType && name ? [`${metadata.namespace}/${name}`] : [];
};

export const serviceAccountTokenController: Controller = {
  name: "serviceaccount-token-controller",
  actsAsManager: true,
  create(context) {
    const secretInformer = context.informers.informer(secrets, { fieldSelector: `type=${tokenType}` });
    const accountInformer = context.informers.informer(serviceaccounts);
    secretInformer.addIndex(byAccount, accountKeyOf);
    return {
      watches: [
        watch(secretInformer, (secret) => [keyOf(secret)]),
        watch(accountInformer, (account) => secretInformer.byIndex(byAccount, keyOf(account)).map(keyOf)),
      ],
      async reconcile(key, { signal }) {
        const secret = secretInformer.get(key);
        if (!secret) {
          await forgetSecret(context.client, key, accountInformer, signal);
          return undefined;
        }
        const [accountKey] = accountKeyOf(secret);
        if (accountKey === undefined || secret.metadata.deletionTimestamp !== undefined) return undefined;
        const account = await accountOf(context.client, { secret, accountKey, accountInformer, signal });
        if (account) await fill(context, secret, account, signal);
        else await remove(context.client, secret, signal);
        return undefined;
      },
    };
  },
};

/** The account that a secret is for; that there is none is believed of the server only. */
async function accountOf(
  client: Client,
  {
    secret,
    accountKey,
    accountInformer,
    signal,
  }: {
    readonly secret: Secret;
    readonly accountKey: string;
    readonly accountInformer: Informer<ServiceAccount>;
    readonly signal: AbortSignal;
  },
): Promise<ServiceAccount | undefined> {
  const uid = secret.metadata.annotations?.[accountUidAnnotation];
  const isMeant = (account: ServiceAccount): boolean => !uid || account.metadata.uid === uid;
  const cached = accountInformer.get(accountKey);
  if (cached && isMeant(cached)) return cached;
  try {
    const account = await client.get(serviceaccounts, parseKey(accountKey), { signal });
    return isMeant(account) ? account : undefined;
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

/** Writes what the secret lacks. */
async function fill({ client, options }: ControllerContext, secret: Secret, account: ServiceAccount, signal: AbortSignal): Promise<void> {
  const { metadata, data = {} } = secret;
  const authority = options.rootCaPem === undefined ? undefined : encodeBase64(options.rootCaPem);
  const lacksAuthority = authority !== undefined && data["ca.crt"] !== authority;
  if (data.token && data.namespace && !lacksAuthority) return;
  const annotations = {
    ...metadata.annotations,
    [accountNameAnnotation]: account.metadata.name,
    [accountUidAnnotation]: account.metadata.uid,
  };
  const filled: Secret = {
    ...secret,
    metadata: { ...metadata, annotations },
    data: {
      ...data,
      ...(lacksAuthority ? { "ca.crt": authority } : {}),
      namespace: data.namespace || encodeBase64(metadata.namespace),
      token: data.token || encodeBase64(await requestToken(client, secret, account, signal)),
    },
  };
  try {
    await client.update(secrets, filled, { signal });
  } catch (error) {
    // Changed or gone meanwhile: its new state comes by itself.
    if (!isStatus(error, "Conflict", "NotFound")) throw error;
  }
}

async function requestToken(client: Client, secret: Secret, account: ServiceAccount, signal: AbortSignal): Promise<string> {
  const { namespace, name } = account.metadata;
  const { name: secretName, uid } = secret.metadata;
  const request = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: longestSeconds, boundObjectRef: { apiVersion: "v1", kind: "Secret", name: secretName, uid } },
  };
  const at = { namespace, name, subresource: "token" };
  const answer = await client.createSubresource<{ readonly status?: { readonly token?: string } }>(serviceaccounts, at, request, {
    signal,
  });
  const token = answer.status?.token;
  if (!token) throw new Error(`the answer to a token request for ${namespace}/${name} has no token`);
  return token;
}

async function remove(client: Client, { metadata }: Secret, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = metadata;
  try {
    await client.delete(secrets, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
}

/** Accounts no longer list a secret that is gone. */
async function forgetSecret(client: Client, key: string, accountInformer: Informer<ServiceAccount>, signal: AbortSignal): Promise<void> {
  const { namespace, name } = parseKey(key);
  for (const account of accountInformer.inNamespace(namespace)) {
    const left = account.secrets?.filter((reference) => reference.name !== name);
    if (!left || left.length === account.secrets?.length) continue;
    try {
      await client.update(serviceaccounts, { ...account, secrets: left }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }
}
