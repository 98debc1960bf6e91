// A resolver outside of the cluster for tests: answers on a loopback address over UDP and TCP as it is told, and remembers
// what it was asked.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type DecodedPacket, decode, encode, type Packet } from "dns-packet";

export type Reply = Packet & { readonly rcode?: number };

export interface FakeResolver extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  /** "udp A www.example.com", in the order asked. */
  readonly asked: readonly string[];
  /** What is answered; undefined is silence. */
  answer: (name: string, type: string, protocol: "udp" | "tcp") => Reply | undefined;
}

/** Answers every question with this address. */
export function always(address: string, ttl = 60): FakeResolver["answer"] {
  return (name, type) => ({ answers: type === "A" ? [{ type: "A", name, ttl, data: address }] : [] });
}

export async function startFakeResolver(answer: FakeResolver["answer"], address = "127.0.0.1"): Promise<FakeResolver> {
  const asked: string[] = [];
  const reply = (message: Buffer, protocol: "udp" | "tcp"): Buffer | undefined => {
    const query: DecodedPacket = decode(message);
    const question = query.questions?.[0];
    const { name = "", type = "A" } = question ?? {};
    asked.push(`${protocol} ${type} ${name}`);
    const { rcode = 0, flags = 0, ...sections } = resolver.answer(name, type, protocol) ?? { flags: -1 };
    if (flags < 0) return undefined;
    return encode({ type: "response", id: query.id ?? 0, flags: flags | 0x180 | rcode, questions: query.questions ?? [], ...sections });
  };
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      const sent = reply(chunk.subarray(2), "tcp");
      if (sent) socket.write(Buffer.concat([Uint8Array.of(sent.length >> 8, sent.length & 255), sent]));
    });
  });
  const { udp, port } = await listenBoth(tcp, address);
  udp.on("message", (message, from) => {
    const sent = reply(message, "udp");
    if (sent) udp.send(sent, from.port, from.address);
  });
  const resolver: FakeResolver = {
    ...{ address, port, asked, answer },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([new Promise<void>((resolve) => udp.close(() => resolve())), new Promise((resolve) => tcp.close(resolve))]);
    },
  };
  return resolver;
}

const maxPortTries = 20;

/** A port that is free for both. */
async function listenBoth(tcp: Server, address: string): Promise<{ readonly udp: UdpSocket; readonly port: number }> {
  for (let tries = 1; ; tries++) {
    await new Promise<void>((resolve, reject) => tcp.once("error", reject).listen(0, address, resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
    try {
      await new Promise<void>((resolve, reject) => udp.once("error", reject).bind(port, address, resolve));
      return { udp, port };
    } catch (error) {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
      if (tries === maxPortTries) throw error;
    }
  }
}
