/** What tasks have written and nobody has read, while their step has no daemon: a task may end before the next one opens its streams. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { holdFifo } from "#platform/pipes.ts";

/** Everything that is in the spool's FIFOs stays there until this is disposed of. */
export function holdOutput(spoolDir: string): Disposable {
  let names: readonly string[];
  try {
    names = readdirSync(spoolDir).filter((name) => /\.(out|err)\.fifo$/.test(name));
  } catch {
    names = []; // the spool is gone, and the step with it
  }
  const held = names.map((name) => holdFifo(join(spoolDir, name)));
  return {
    [Symbol.dispose]: () => {
      for (const fifo of held) fifo?.[Symbol.dispose]();
    },
  };
}
