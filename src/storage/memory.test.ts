import { VirtualClock } from "../base/clock.ts";
import { createMemoryStore } from "./memory.ts";
import { testStore } from "./testsuite.ts";

testStore(
  "memory store",
  async () => {
    const clock = new VirtualClock();
    const store = createMemoryStore({ clock });
    return { store, advance: (byMs) => clock.advance(byMs), dispose: () => store.close() };
  },
  { inProcess: true },
);
