// Every controller there is, in the order in which they start. Adding one is adding a file and a line.
import type { Controller } from "./controller.ts";

export const allControllers: readonly Controller[] = [];
