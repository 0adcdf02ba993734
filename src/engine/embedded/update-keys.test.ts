/** The keys that scontrol says can be changed are those that the engine changes. */
import { expect, test } from "bun:test";
import { JOB_UPDATE_KEYS, updateKeyName } from "#options/scontrol-words.ts";
import { UPDATE_KEYS } from "./update.ts";

test("each key that is not refused is known, and no other", () => {
  const told = (when: string) => JOB_UPDATE_KEYS.filter((key) => key.when === when).map(({ name }) => updateKeyName(name));
  expect([...new Set(told("any state"))].sort()).toEqual([...UPDATE_KEYS.anyState].sort());
  expect([...new Set(told("waiting"))].sort()).toEqual([...UPDATE_KEYS.waiting].sort());
});
