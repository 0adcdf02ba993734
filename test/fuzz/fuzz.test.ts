// A few seconds of what `npm run fuzz` does for longer.
import { existsSync } from "node:fs";
import { expect, setDefaultTimeout, test } from "bun:test";
import { fuzz, fuzzShell, randomFrom } from "./targets.ts";

setDefaultTimeout(60_000);
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 32);

test(`hostile input is accepted or refused in words, seed ${seed}`, () => {
  const tallies = fuzz({ seed, inputs: 60_000, seconds: 5 });
  expect(Object.keys(tallies).length).toBe(9);
  // Both kinds of answer came, or nothing was tried.
  for (const name of ["oci.conf", "patterns", "regular expressions", "config.json", "JSON", "CDI"]) {
    const { inputs, refused } = tallies[name] ?? { inputs: 0, refused: 0 };
    expect(refused).toBeGreaterThan(0);
    expect(inputs).toBeGreaterThan(refused);
  }
});
test(`a shell gets every argument as it is, seed ${seed}`, async () => {
  const random = randomFrom(seed);
  for (let round = 0; round < 5; round++) await fuzzShell(random, 400);
  expect(existsSync("/tmp/berth-injected")).toBe(false);
});
