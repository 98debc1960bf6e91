// Back pressure from a stream to the WebSocket whose messages it is given.
import type { Writable } from "node:stream";
import type { WebSocket } from "ws";

/**
 * Stops reading from a client until `output` takes more again, or is closed. Messages that had arrived with the last one still
 * come, and wait for the same.
 */
export function pauseUntilDrained(client: WebSocket, output: Writable): void {
  if (client.isPaused) return;
  const resume = (): void => {
    output.off("drain", resume);
    output.off("close", resume);
    client.resume();
  };
  client.pause();
  output.once("drain", resume);
  output.once("close", resume);
}
