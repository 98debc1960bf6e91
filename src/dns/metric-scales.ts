// What the figures of the DNS have in common.

/** As CoreDNS labels a server of this port and of any domain. */
export const serverLabel = "dns://:53";

/** 0.25 ms doubling to 8 s. */
export const latencySeconds = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);

export const messageBytes = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000];
