/** `--array=1,3,5-7:2%4` and back (commands.md §1.4.8). */
import { slurmError } from "#job/errors.ts";

export interface ArraySpec {
  /** Ascending, each once. */
  readonly indices: readonly number[];
  /** Tasks that may run at once; null is no bound, and so is `%0`. */
  readonly throttle: number | null;
}

const DEFAULT_MAX_ARRAY_SIZE = 1001;

/** @throws BerthError INVALID_ARRAY; indices run from 0 to maxArraySize − 1 */
export function parseArraySpec(text: string, maxArraySize = DEFAULT_MAX_ARRAY_SIZE): ArraySpec {
  const match = /^([\d,:-]+)(?:%(\d{1,9}))?$/.exec(text);
  const indices = match?.[1] === undefined ? undefined : parseIndexList(match[1], maxArraySize - 1);
  if (match === null || indices === undefined) throw slurmError("INVALID_ARRAY");
  const throttle = Number(match[2] ?? 0);
  return { indices, throttle: throttle === 0 ? null : throttle };
}

/** Overlapping ranges in one text may not cost more than the largest array that Slurm can be configured for. */
const MAX_STEPS = 2 ** 22;

/** `1,3,5-9:2` as ascending numbers without duplicates; undefined when malformed or above `maxIndex`. */
export function parseIndexList(text: string, maxIndex: number): number[] | undefined {
  const indices = new Set<number>();
  let steps = 0;
  for (const part of text.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    const step = Number(match[3] ?? 1);
    if (last < first || last > maxIndex || step === 0) return undefined;
    steps += Math.floor((last - first) / step) + 1;
    if (steps > MAX_STEPS) return undefined;
    for (let i = first; i <= last; i += step) indices.add(i);
  }
  return [...indices].sort((a, b) => a - b);
}

/** From this distance of first and last on, Slurm writes a progression with its step. */
const MIN_SPAN_OF_STEP_FORM = 11;

/**
 * Slurm's text for ascending indices: `1-100`, `0-99:3`, `1,3,5-7`, then `%throttle`.
 * @param maxLength SLURM_BITSTR_LEN: the size of Slurm's buffer, so one less is shown, `...` at its end; 0 never cuts
 */
export function foldArraySpec({ indices, throttle }: ArraySpec, maxLength = 64): string {
  let text = foldProgression(indices) ?? foldRanges(indices);
  if (maxLength > 0 && text.length > maxLength - 1) text = `${text.slice(0, Math.max(0, maxLength - 4))}...`;
  return throttle === null ? text : `${text}%${throttle}`;
}

function foldProgression(indices: readonly number[]): string | undefined {
  const [first, second] = indices;
  const last = indices.at(-1);
  if (first === undefined || second === undefined || last === undefined) return undefined;
  const step = second - first;
  if (step === 1 || last - first < MIN_SPAN_OF_STEP_FORM) return undefined;
  return indices.every((index, i) => index === first + i * step) ? `${first}-${last}:${step}` : undefined;
}

function foldRanges(indices: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indices.length; ) {
    let end = i;
    while (end + 1 < indices.length && indices[end + 1] === (indices[end] ?? 0) + 1) end++;
    parts.push(end > i ? `${indices[i]}-${indices[end]}` : `${indices[i]}`);
    i = end + 1;
  }
  return parts.join(",");
}
