/**
 * How the launcher (launcher.sh) asks an anchor for the container's start, by what a shell can do without starting programs:
 *
 *   ROOT/ID/anchor   the anchor's pid and start, before there is anything to ask
 *   ROOT/ID/asked    made by whoever asks, once; then SIGUSR2 to the anchor
 *   ROOT/ID/answer   a FIFO, on which the anchor says "started"; anything else, or its end, sends the launcher the long way
 *
 * and what it says of a container that is over:
 *
 *   ROOT/ID/over                 all that is left is the directory
 *   ROOT/ID/start-failure.json   why a start failed, for the long way, which finds the anchor gone
 */
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeFifo } from "#platform/libc.ts";
import { identify } from "#platform/process-tree.ts";
import type { FromAnchor } from "../anchor-wire.ts";
import type { ContainerPlace } from "../place.ts";

const OWNER_ONLY = { mode: 0o600 } as const;

/** The anchor's end. Harmless to whoever signals the anchor's pid without having asked. */
export class QuickStart {
  readonly #place: ContainerPlace;
  readonly #fifo: string;
  readonly #onSignal: () => void;
  #fd: number | undefined;

  constructor(place: ContainerPlace, onAsked: () => void) {
    this.#place = place;
    this.#fifo = join(place.dir, "answer");
    this.#onSignal = () => {
      if (this.#fd !== undefined && existsSync(join(place.dir, "asked"))) onAsked();
    };
    const self = identify(process.pid);
    if (self === undefined) throw new Error("no /proc");
    process.on("SIGUSR2", this.#onSignal);
    writeFileSync(join(place.dir, "anchor"), `${self.pid} ${self.startTicks}\n`, OWNER_ONLY);
    makeFifo(this.#fifo, 0o600);
    // Its only writer, for as long as an answer may come.
    this.#fd = openSync(this.#fifo, constants.O_RDWR);
  }

  say(message: FromAnchor): void {
    if (message.event === "failed") writeFileSync(failureFile(this.#place), JSON.stringify(message), OWNER_ONLY);
    this.#answer(message.event === "started" ? "started" : "ask");
  }

  #answer(word: string): void {
    if (this.#fd === undefined) return; // answered already
    writeSync(this.#fd, `${word}\n`);
    this.close();
  }

  /** Nobody asks any more. */
  close(): void {
    if (this.#fd === undefined) return;
    rmSync(this.#fifo, { force: true });
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Why the start that the launcher asked for has failed. */
export function quickStartFailure(place: ContainerPlace): Extract<FromAnchor, { event: "failed" }> | undefined {
  try {
    return JSON.parse(readFileSync(failureFile(place), "utf8"));
  } catch {
    return undefined;
  }
}

/** The anchor's last act, when everything else of the container has been put away. */
export function markOver(place: ContainerPlace): void {
  try {
    writeFileSync(place.overFile, "", OWNER_ONLY);
  } catch {
    // deleted already
  }
}

function failureFile(place: ContainerPlace): string {
  return join(place.dir, "start-failure.json");
}
