// Headers that belong to one connection and not to the message (RFC 9110, 7.6.1): whoever passes a message on drops them.

const ofConnection = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** For names in lower case. */
export const isOfConnection = (name: string): boolean => ofConnection.has(name);

/** The further names that a Connection header lists, in lower case. */
export const namesInConnection = (connection: string | undefined): ReadonlySet<string> =>
  new Set((connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
