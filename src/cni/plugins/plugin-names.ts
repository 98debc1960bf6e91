// The names of our CNI plugins' executables, known without loading the plugins: the same as in all.ts.
export const pluginNames: readonly string[] = [
  "bandwidth",
  "bridge",
  "coracle",
  "dhcp",
  "firewall",
  "flannel",
  "host-device",
  "host-local",
  "ipvlan",
  "loopback",
  "macvlan",
  "portmap",
  "ptp",
  "static",
  "tuning",
  "vlan",
];
