// The names of our CNI plugins' executables, known without loading the plugins: the same as in all.ts.
export const pluginNames: readonly string[] = ["bridge", "coracle", "host-local", "loopback", "portmap"];
