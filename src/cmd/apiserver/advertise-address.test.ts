import { describe, expect, it } from "vitest";
import type { HostAddress } from "../../linux/system-info.ts";
import { advertiseAddressFor } from "./advertise-address.ts";

const own: readonly HostAddress[] = [
  { interface: "eth0", address: "192.0.2.7", family: 4 },
  { interface: "eth0", address: "2001:db8::7", family: 6 },
  { interface: "eth1", address: "198.51.100.7", family: 4 },
];
const advertised = (bindAddress: string, addresses = own): Promise<string> => advertiseAddressFor(bindAddress, async () => addresses);

describe("advertiseAddressFor()", () => {
  it("is the bound address where that is one others can use", async () => {
    expect(await advertised("198.51.100.7")).toBe("198.51.100.7");
    expect(await advertised("2001:db8::7")).toBe("2001:db8::7");
  });

  it("is the machine's own, of the same family, where every address or a loopback address is bound", async () => {
    expect(await advertised("0.0.0.0")).toBe("192.0.2.7");
    expect(await advertised("127.0.0.1")).toBe("192.0.2.7");
    expect(await advertised("::")).toBe("2001:db8::7");
    expect(await advertised("::1")).toBe("2001:db8::7");
    expect(await advertised("::", own.slice(0, 1))).toBe("192.0.2.7");
  });

  it("is a loopback address on a machine without a network", async () => {
    expect(await advertised("0.0.0.0", [])).toBe("127.0.0.1");
    expect(await advertised("::", [])).toBe("::1");
  });
});
