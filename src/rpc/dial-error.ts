// Why a connection failed, in the words of Go's net package, which upstream's events and conditions carry and people search for.

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  EHOSTUNREACH: "connect: no route to host",
  ENETUNREACH: "connect: network is unreachable",
  ETIMEDOUT: "i/o timeout",
};

/** "dial tcp 10.0.0.5:8080: connect: connection refused". */
export function dialErrorText(host: string, port: number, error: NodeJS.ErrnoException): string {
  const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const why = error.name === "AbortError" ? "i/o timeout" : (words[error.code ?? ""] ?? error.message);
  return `dial tcp ${where}: ${why}`;
}

/** The same for a request over a connection: what went wrong after it was made has other words. */
export function requestErrorText(host: string, port: number, error: NodeJS.ErrnoException): string {
  if (error.syscall === "connect") return dialErrorText(host, port, error);
  if (error.code === "EPROTO" && /wrong version number/.test(error.message)) return "http: server gave HTTP response to HTTPS client";
  // The container closed the connection before it had answered.
  return error.code === "ECONNRESET" && error.syscall === undefined ? "EOF" : error.message;
}
