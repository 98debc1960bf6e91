// Where `coracle up` serves health and metrics of its controllers and its scheduler (up-metrics.ts, loaded when it starts them).
import { flag, integer } from "../../base/flags.ts";

const port = integer({ min: 0, max: 65_535 });

export const upMetricsFlags = {
  "controller-manager-secure-port": flag(port, 10257, "port of this machine with health and metrics of the controllers; 0 serves none"),
  "scheduler-secure-port": flag(port, 10259, "port of this machine with health and metrics of the scheduler; 0 serves none"),
};
