/** What a script asks of the anchor in the middle of a call: things that Berth has already, and Lua has not. */
import { parseDurationSeconds } from "#options/duration.ts";
import { INFINITE, NO_VAL } from "./constants.ts";

/** The fields of an answer. */
export function answerQuestion(kind: string, text: string): readonly [state: "ok" | "error", text: string] {
  try {
    switch (kind) {
      case "from_yaml":
        return ["ok", JSON.stringify(Bun.YAML.parse(text)) ?? "null"];
      case "to_yaml":
        return ["ok", Bun.YAML.stringify(JSON.parse(text), null, 2)];
      case "minutes":
        return ["ok", String(minutesOf(text))];
      default:
        return ["error", `no question ${kind}`];
    }
  } catch (error) {
    return ["error", `${kind}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** As Slurm's time_str2mins: rounded up; numbers of its own for "no limit" and "no time". */
function minutesOf(text: string): number {
  const seconds = parseDurationSeconds(text);
  if (seconds === undefined) return NO_VAL;
  return seconds === "unlimited" ? INFINITE : Math.ceil(seconds / 60);
}
