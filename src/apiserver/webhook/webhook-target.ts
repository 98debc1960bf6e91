// From the clientConfig of a webhook to where its calls go. Services are called as "name.namespace.svc", over the address
// that the resolver finds; what the resolver refuses reads like a call that could not connect, as upstream's does.
import { bytesOfBase64 } from "../../api/meta/base64.ts";
import type { ServiceResolver, WebhookClientConfig, WebhookTarget } from "./webhook-client.ts";
import { postError, WebhookError } from "./webhook-error.ts";

const defaultPort = 443;

/** `query` is added to the address ("timeout=10s"). Throws WebhookError. */
export function webhookTarget(config: WebhookClientConfig, resolve: ServiceResolver, query = ""): WebhookTarget {
  const caPem = config.caBundle ? new TextDecoder().decode(bytesOfBase64(config.caBundle)) : "";
  const authority = caPem === "" ? {} : { caPem };
  const { service } = config;
  if (service) {
    const { namespace, name, path = "/", port = defaultPort } = service;
    const serverName = `${name}.${namespace}.svc`;
    const url = callUrl(`https://${serverName}:${port}${path.startsWith("/") ? path : `/${path}`}`, query);
    return { url, serverName, connectTo: resolved(resolve, { namespace, name, port }, url), ...authority };
  }
  if (!config.url) throw new WebhookError("connection", "webhook configuration must have either service or URL");
  return { url: callUrl(config.url, query), ...authority };
}

/** The address of calls: its path is made simple (no trailing slash, no empty elements), as upstream's client does. */
export function callUrl(url: string, query: string): string {
  const [, server = url, path = "", rest = ""] = /^([a-z]+:\/\/[^/?#]*)([^?#]*)(.*)$/i.exec(url) ?? [];
  const simple = `${server}${simplePath(path)}${rest}`;
  if (query === "") return simple;
  return `${simple}${rest.includes("?") ? "&" : "?"}${query}`;
}

function simplePath(path: string): string {
  if (path === "") return "";
  const elements: string[] = [];
  for (const element of path.split("/")) {
    if (element === "..") elements.pop();
    else if (element !== "" && element !== ".") elements.push(element);
  }
  return `/${elements.join("/")}`;
}

function resolved(resolve: ServiceResolver, service: Parameters<ServiceResolver>[0], url: string): ReturnType<ServiceResolver> {
  try {
    return resolve(service);
  } catch (error) {
    throw postError("connection", url, error instanceof Error ? error.message : String(error), error);
  }
}
