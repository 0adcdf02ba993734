// npm run fuzz [-- --inputs N] [--seconds S] [--seed N]: a million inputs, or as many as the time allows. The inputs are run
// in a thread, so that one that never comes back is noticed and named.
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { fuzz, fuzzShell, randomFrom, type Tally } from "./targets.ts";

const WATCHDOG_MS = 20_000;
type Message = { readonly at: string } | { readonly tallies: Readonly<Record<string, Tally>> } | { readonly failure: string };

if (Bun.isMainThread) await main();
else {
  addEventListener("message", (event) => {
    const { data } = event as MessageEvent<{ seed: number; inputs: number; seconds: number }>;
    try {
      postMessage({ tallies: fuzz({ ...data, progress: (at) => postMessage({ at } satisfies Message) }) } satisfies Message);
    } catch (error) {
      postMessage({ failure: error instanceof Error ? error.message : String(error) } satisfies Message);
    }
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { inputs: { type: "string", default: "1200000" }, seconds: { type: "string", default: "900" }, seed: { type: "string" } },
  });
  const seed = Number(values.seed ?? Date.now() % 2 ** 32);
  console.log(`seed ${seed}`);
  const worker = new Worker(import.meta.url);
  const { promise, resolve } = Promise.withResolvers<Message>();
  let at = "the start";
  let watchdog = setTimeout(() => {}, 0);
  const watch = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => resolve({ failure: `no answer for ${WATCHDOG_MS / 1000} s, after ${at}` }), WATCHDOG_MS);
  };
  worker.onmessage = ({ data }: MessageEvent<Message>) => {
    watch();
    if ("at" in data) at = data.at;
    else resolve(data);
  };
  const startedAt = performance.now();
  watch();
  worker.postMessage({ seed, inputs: Number(values.inputs), seconds: Number(values.seconds) });
  const result = await promise;
  clearTimeout(watchdog);
  worker.terminate();
  if ("failure" in result) {
    console.error(`FAILED: ${result.failure}`);
    process.exit(1);
  }
  if (!("tallies" in result)) throw new Error("no result");
  const random = randomFrom(seed);
  let vectors = 0;
  for (; vectors < 20_000; vectors += 500) await fuzzShell(random, 500);
  if (existsSync("/tmp/berth-injected")) {
    console.error("FAILED: a shell ran an argument (/tmp/berth-injected is there)");
    process.exit(1);
  }
  let total = 0;
  for (const [name, { inputs, refused, slowestMs }] of Object.entries(result.tallies)) {
    total += inputs;
    console.log(
      `${name.padEnd(20)} ${String(inputs).padStart(8)} inputs, ${String(refused).padStart(8)} refused, slowest ${slowestMs.toFixed(1)} ms`,
    );
  }
  console.log(
    `${total} inputs and ${vectors} command lines through /bin/sh in ` +
      `${((performance.now() - startedAt) / 1000).toFixed(0)} s: no crash, no hang, no injection`,
  );
  process.exit(0);
}
