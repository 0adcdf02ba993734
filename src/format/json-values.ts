/** The small shapes that --json repeats everywhere since Slurm 23.02 (commands.md §16). Times are epoch seconds. */
import { signalName } from "#options/signals.ts";
import type { ExitPair } from "#job/outcome.ts";
import { seconds } from "./times.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface JsonNumber {
  readonly [key: string]: Json;
  readonly set: boolean;
  readonly infinite: boolean;
  readonly number: number;
}
export const UNSET: JsonNumber = { set: false, infinite: false, number: 0 };
export const INFINITE: JsonNumber = { set: false, infinite: true, number: 0 };

export function number(value: number | null): JsonNumber {
  return value === null ? UNSET : { set: true, infinite: false, number: value };
}
/** A limit: null is no limit. */
export function limit(value: number | null): JsonNumber {
  return value === null ? INFINITE : number(value);
}
/** A point in time: null is 0. */
export function time(at: number | null): JsonNumber {
  return number(at === null ? 0 : seconds(at));
}
export function duration(ms: number): Json {
  return { seconds: Math.floor(ms / 1000), microseconds: Math.round((ms % 1000) * 1000) };
}

export function exitCode(exit: ExitPair): Json {
  const status = exit.signal !== 0 ? "SIGNALED" : exit.code !== 0 ? "ERROR" : "SUCCESS";
  return {
    status: [status],
    return_code: number(exit.code),
    signal: {
      id: exit.signal === 0 ? UNSET : number(exit.signal),
      name: exit.signal === 0 ? "" : signalName(exit.signal).replace(/^SIG/, ""),
    },
  };
}

/** Who asked with what; the same block in every answer. */
export interface JsonMeta {
  /** argv, with the command's short name. */
  readonly command: readonly string[];
  readonly user: string;
  readonly group: string;
  /** Terminal or peer; empty when there is none. */
  readonly source: string;
  /** `26.11.0`: the Slurm version that we speak like. */
  readonly release: string;
  readonly clusterName: string;
}

export function envelope(body: Readonly<Record<string, Json>>, meta: JsonMeta): Json {
  const [major = "", minor = "", micro = ""] = meta.release.split(/[.-]/);
  return {
    ...body,
    meta: {
      plugin: { type: "", name: "", data_parser: "data_parser/v0.0.46", accounting_storage: "" },
      client: { source: meta.source, user: meta.user, group: meta.group },
      command: [...meta.command],
      slurm: { version: { major, micro, minor }, release: meta.release, cluster: meta.clusterName },
    },
    errors: [],
    warnings: [],
  };
}
