// Where an answer is written: the one face that HTTP/1.1 responses and HTTP/2 streams show to write-answer.ts.

/** Names in lower case. Made for one answer, and given to the sink with it. */
export type HeaderValues = Record<string, string | readonly string[]>;

export interface Sink {
  /** Whether an Accept-Encoding header of the request allows gzip. */
  readonly acceptsGzip: boolean;
  /** The client has gone, or everything has been written. */
  readonly closed: boolean;
  /** Sends a whole answer. */
  send(status: number, headers: HeaderValues, body: Uint8Array | undefined): void;
  /** Sends a whole answer whose body is given as one character for each byte. */
  sendText(status: number, headers: HeaderValues, body: string): void;
  /** Starts an answer of unknown length; its head goes out at once. */
  open(status: number, headers: HeaderValues): void;
  /** Resolves when more may be written; at once while the client keeps up. Rejects when the client has gone. */
  write(chunk: Uint8Array): Promise<void> | undefined;
  /** Resolves when the chunk has been handed on, so that its memory may be used again. Rejects when the client has gone. */
  writeThrough(chunk: Uint8Array): Promise<void>;
  end(): void;
  /** Breaks the connection or stream off, so that the client sees an incomplete answer. */
  destroy(error: Error): void;
  onClose(listener: () => void): void;
}

/** Waits until a stream takes more, or rejects when it closes first. */
export function drained(stream: {
  once(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = (): void => {
      stream.off("close", onClose);
      resolve();
    };
    const onClose = (): void => {
      stream.off("drain", onDrain);
      reject(new ClientGone());
    };
    stream.once("drain", onDrain);
    stream.once("close", onClose);
  });
}

interface Writable {
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean;
  once(event: "close", listener: () => void): unknown;
  off(event: "close", listener: () => void): unknown;
}

/** Writes, and resolves when the chunk has gone to the system; rejects when the stream closes first. */
export function writtenThrough(stream: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new ClientGone());
    stream.once("close", onClose);
    stream.write(chunk, (error) => {
      stream.off("close", onClose);
      if (error) reject(new ClientGone());
      else resolve();
    });
  });
}

/** The client closed the connection or the stream before the answer was complete. */
export class ClientGone extends Error {
  constructor() {
    super("the client has closed the connection");
    this.name = "ClientGone";
  }
}

export const clientGone = (): ClientGone => new ClientGone();
