// Calls HTTPS endpoints outside the server: admission and conversion webhooks, reviews of tokens and of access, audit
// batches. What is shared: a deadline on every call, bounded answers, kept-alive connections, the caller's own authority.

/** Where a call goes. */
export interface WebhookTarget {
  /** "https://host:port/path?query". */
  readonly url: string;
  /** PEM of what may have signed the server's certificate; default: the machine's authorities. */
  readonly caPem?: string;
  /** The name the certificate must be for, where it is not the URL's host (services: "name.namespace.svc"). */
  readonly serverName?: string;
  /** Connects here instead of to the URL's host: the endpoint of a service. */
  readonly connectTo?: { readonly host: string; readonly port: number };
  readonly clientCertificatePem?: string;
  readonly clientKeyPem?: string;
  readonly bearerToken?: string;
  readonly insecureSkipVerify?: boolean;
}

export interface WebhookCall {
  /** JSON value, encoded once. */
  readonly body: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The span that the call is part of, as the header of this name says it. */
  readonly traceparent?: string;
}

export interface WebhookClient {
  /** POSTs JSON and gives the decoded answer. Throws WebhookError for anything but a 2xx with a JSON body. */
  post(target: WebhookTarget, call: WebhookCall): Promise<unknown>;
  /** Closes kept connections. */
  stop(): Promise<void>;
}

/** WebhookClientConfig of admissionregistration and apiextensions, ServiceReference of apiregistration. */
export interface WebhookClientConfig {
  readonly url?: string;
  readonly service?: { readonly namespace: string; readonly name: string; readonly path?: string; readonly port?: number };
  /** base64 of PEM. */
  readonly caBundle?: string;
}

/** Resolves the address of a service: a ready endpoint, so that no service proxy is needed. Throws where there is none. */
export type ServiceResolver = (service: { readonly namespace: string; readonly name: string; readonly port: number }) => {
  readonly host: string;
  readonly port: number;
};
