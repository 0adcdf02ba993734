/**
 * srun of a Slurm that says "Node failure on c4" and ends with 0 all the same, as 22.05 does: somebody has to listen. Its standard
 * error passes through us; everything else is its own.
 */
import { readFileSync } from "node:fs";
import { shellCode } from "#job/outcome.ts";
import { restoreFileLimit } from "#platform/exec.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { outputOf } from "#platform/run-tool.ts";
import { spawnOverheard } from "#platform/spawn.ts";
import { signalAtOurEnd } from "#platform/tied-process.ts";
import { writeFully } from "#platform/write-fully.ts";
import { findSiteProgram } from "../programs.ts";
import { isBefore, siteVersion } from "../site-version.ts";
import type { SiteCall } from "./site-call.ts";

/** The first that is known to end with a status of its own. */
const FIRST_GOOD = [26, 5] as const;
const MAX_LINE = 4096;
const NODE_FAIL_STATUS = 1;

export function forgetsNodeFailures(program: string): boolean {
  return isBefore(siteVersion(program), FIRST_GOOD);
}

/** srun's exit status; 1 with a word about it when a node of the step failed and srun ended as if nothing had happened. */
export async function runWatched({ program, argv, env }: SiteCall): Promise<number> {
  restoreFileLimit();
  const srun = spawnOverheard([program, ...argv.slice(1)], { env, stream: 2, calledAs: argv[0] });
  // Killed with -9 we would leave it at work, and it the step.
  using _tie = signalAtOurEnd(srun.pid, "TERM");
  for (const [name, number] of Object.entries(FORWARDED)) process.on(name, () => sendSignal(srun.pid, number));
  // What the keyboard sends reaches srun too: it is in our group. Twice would be the user's "really".
  for (const [name, number] of Object.entries(KEYBOARD))
    process.on(name, () => (isInForeground() ? undefined : sendSignal(srun.pid, number)));
  const ear = new NodeFailures();
  for await (const bytes of srun.heard) {
    ear.hear(bytes);
    writeFully(2, bytes); // when nobody reads any more srun goes on, as it does
  }
  const status = shellCode(await srun.exited);
  const failed = status === 0 ? ear.nodes.filter(isDown) : [];
  if (failed.length === 0) return status;
  writeFully(
    2,
    Buffer.from(`srun: error: NODE_FAIL: ${failed.join(",")} failed while the step ran; its tasks there did not end by themselves\n`),
  );
  return NODE_FAIL_STATUS;
}

const FORWARDED = { SIGTERM: 15, SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12 } as const;
const KEYBOARD = { SIGINT: 2, SIGQUIT: 3 } as const;

/** Of our terminal, when we have one (proc(5), stat: pgrp and tpgid). */
function isInForeground(): boolean {
  const fields = readFileSync("/proc/self/stat", "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return fields[2] === fields[5];
}

/** Collects what srun says of nodes, line by line, however it comes. */
export class NodeFailures {
  readonly nodes: string[] = [];
  #line = "";

  hear(bytes: Uint8Array): void {
    const lines = (this.#line + Buffer.from(bytes).toString("latin1")).split("\n");
    this.#line = (lines.pop() ?? "").slice(0, MAX_LINE);
    for (const line of lines) {
      const node = /^srun: error: Node failure on (\S+)$/.exec(line.trimEnd())?.[1];
      if (node !== undefined && !this.nodes.includes(node)) this.nodes.push(node);
    }
  }
}

/** A program in the container could say the same words; the controller knows. */
function isDown(node: string): boolean {
  const sinfo = findSiteProgram("sinfo");
  if (sinfo === undefined) return true;
  return /down|fail|unk|no_respond|\*|drain|reboot|power/i.test(outputOf([sinfo, "-h", "-n", node, "-o", "%T"]));
}
