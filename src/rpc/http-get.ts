// A GET whose answer is looked at and not used: probes of containers and of the cluster's components. Certificates are not
// checked, as who probes has no way to know them; at most 10 KiB of the answer are kept. Failures are told in the words of
// Go's HTTP client, which upstream's events and conditions carry.
import { type Dial, requestTo } from "./dial.ts";
import { requestErrorText } from "./dial-error.ts";

export interface PlainGetOptions {
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly signal?: AbortSignal | undefined;
  /** For hosts that are simulated in this process. */
  readonly dial?: Dial | undefined;
}

export interface HttpGetAnswer {
  readonly status: number;
  readonly body: string;
  /** Where a redirection leads to. */
  readonly location?: string;
}

const maxBodyBytes = 10 * 1024;

/** Resolves with whatever was answered; rejects when there was no answer, with 'Get "http://10.0.0.5:8080/": ...'. */
export function plainGet(url: string, { timeoutMs, headers, signal, dial }: PlainGetOptions): Promise<HttpGetAnswer> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const target = new URL(url);
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const text = deadline.aborted
        ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        : requestErrorText(target.hostname.replace(/^\[|\]$/g, ""), portOf(target), error);
      reject(new Error(`Get "${url}": ${text}`, { cause: error }));
    };
    const sent = requestTo(target, { headers, signal: signal ? AbortSignal.any([deadline, signal]) : deadline }, dial);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        if (length < maxBodyBytes) chunks.push(chunk);
        length += chunk.length;
      });
      response.on("error", fail);
      response.on("end", () => {
        const body = Buffer.concat(chunks).subarray(0, maxBodyBytes).toString("utf8");
        const { location } = response.headers;
        resolve({ status: response.statusCode ?? 0, body, ...(location === undefined ? {} : { location }) });
      });
    });
    sent.on("error", fail);
    sent.end();
  });
}

function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}
