// Messages of DHCP (RFC 2131) with the options a client of ours sends and reads (RFC 2132, RFC 3442). Pure.

export const messageTypes = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7 } as const;

export const dhcpOptions = {
  subnetMask: 1,
  router: 3,
  nameServers: 6,
  hostName: 12,
  domainName: 15,
  mtu: 26,
  staticRoutes: 33,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverId: 54,
  parameterList: 55,
  renewalTime: 58,
  vendorClass: 60,
  clientId: 61,
  userClass: 77,
  classlessRoutes: 121,
} as const;

export interface DhcpMessage {
  /** Of the exchange. */
  readonly transaction: number;
  /** 6 bytes. */
  readonly hardwareAddress: Uint8Array;
  /** The address the client has and answers at: "0.0.0.0" where it has none yet. */
  readonly clientAddress: string;
  /** The one it is given. */
  readonly yourAddress: string;
  readonly options: ReadonlyMap<number, Buffer>;
}

const fixedLength = 236;
const cookie = Buffer.from([99, 130, 83, 99]);
const end = 255;
const pad = 0;
/** Servers may ignore shorter ones. */
const shortest = 300;
const broadcastFlag = 0x8000;

/** From a client to a server; answers are to be broadcast, since the client cannot receive at an address it does not have yet. */
export function encodeRequest({ transaction, hardwareAddress, clientAddress, options }: Omit<DhcpMessage, "yourAddress">): Buffer {
  const fixed = Buffer.alloc(fixedLength);
  fixed.set([1, 1, 6, 0]);
  fixed.writeUInt32BE(transaction >>> 0, 4);
  fixed.writeUInt16BE(broadcastFlag, 10);
  fixed.set(addressBytes(clientAddress), 12);
  fixed.set(hardwareAddress.subarray(0, 6), 28);
  const encoded = [...options].map(([code, value]) => Buffer.concat([Buffer.from([code, value.length]), value]));
  const message = Buffer.concat([fixed, cookie, ...encoded, Buffer.from([end])]);
  return message.length >= shortest ? message : Buffer.concat([message, Buffer.alloc(shortest - message.length)]);
}

/** Undefined where the bytes are no answer of a server. */
export function decodeReply(bytes: Buffer): DhcpMessage | undefined {
  if (bytes.length < fixedLength + cookie.length || bytes[0] !== 2) return undefined;
  if (!bytes.subarray(fixedLength, fixedLength + cookie.length).equals(cookie)) return undefined;
  return {
    transaction: bytes.readUInt32BE(4),
    hardwareAddress: bytes.subarray(28, 34),
    clientAddress: addressText(bytes.subarray(12, 16)),
    yourAddress: addressText(bytes.subarray(16, 20)),
    options: decodeOptions(bytes.subarray(fixedLength + cookie.length)),
  };
}

/** An option that comes in several pieces is one (RFC 3396). */
function decodeOptions(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let i = 0; i < bytes.length; ) {
    const code = bytes[i++] ?? end;
    if (code === end) break;
    if (code === pad) continue;
    const length = bytes[i++] ?? 0;
    const value = bytes.subarray(i, i + length);
    options.set(code, Buffer.concat([options.get(code) ?? Buffer.alloc(0), value]));
    i += length;
  }
  return options;
}

export const addressBytes = (address: string): Buffer => Buffer.from(address.split(".").map(Number));
export const addressText = (bytes: Uint8Array): string => [...bytes.subarray(0, 4)].join(".");

/** Of an option that is a list of them. */
export function addressList(value: Buffer | undefined): readonly string[] {
  return Array.from({ length: Math.floor((value?.length ?? 0) / 4) }, (_, i) => addressText((value ?? Buffer.alloc(0)).subarray(4 * i)));
}

/** RFC 3442: the length of the prefix, as many bytes of it as it needs, the router. */
export function classlessRoutes(value: Buffer): readonly { readonly dst: string; readonly gw: string }[] {
  const routes: { dst: string; gw: string }[] = [];
  for (let i = 0; i < value.length; ) {
    const length = value[i++] ?? 0;
    const significant = Math.ceil(length / 8);
    if (length > 32 || i + significant + 4 > value.length) break;
    const network = Buffer.alloc(4);
    value.copy(network, 0, i, i + significant);
    i += significant;
    routes.push({ dst: `${addressText(network)}/${length}`, gw: addressText(value.subarray(i)) });
    i += 4;
  }
  return routes;
}
