import { describe, expect, it } from "vitest";
import { parseInterfaceAddresses } from "./interface-addresses.ts";
import { parseListening } from "./listening-ports.ts";

describe("parseListening()", () => {
  const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n";

  it("finds ports that others can reach: not those of loopback addresses, nor of connections", () => {
    const table = [
      "   0: 00000000:0016 00000000:0000 0A 00000000:00000000",
      "   1: 0100007F:0050 00000000:0000 0A 00000000:00000000",
      "   2: 020002C0:1F90 00000000:0000 0A 00000000:00000000",
      "   3: 020002C0:A2C3 0A0002C0:01BB 01 00000000:00000000",
    ].join("\n");
    expect(parseListening(head + table, "0A")).toEqual([22, 8080]);
  });

  it("knows addresses of IPv6 too", () => {
    const table = [
      "   0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07",
      "   1: 00000000000000000000000001000000:0036 00000000000000000000000000000000:0000 07",
      "   2: 0000000000000000FFFF00000100007F:0037 00000000000000000000000000000000:0000 07",
      "   3: 00000000000000000000000000000000:0038 0000000000000000FFFF00000A0002C0:0035 07",
    ].join("\n");
    expect(parseListening(head + table, "07")).toEqual([53]);
  });
});

describe("parseInterfaceAddresses()", () => {
  it("reads what iproute2 prints", () => {
    const json =
      '[{"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8}]},{"ifname":"dummy0"},{"ifname":"eth0","addr_info":[{"family":"inet6","local":"2001:db8::2","prefixlen":64}]}]';
    expect(parseInterfaceAddresses(json)).toEqual([
      { interface: "lo", address: "127.0.0.1", family: 4, prefixLength: 8 },
      { interface: "eth0", address: "2001:db8::2", family: 6, prefixLength: 64 },
    ]);
    expect(parseInterfaceAddresses("")).toEqual([]);
  });
});
