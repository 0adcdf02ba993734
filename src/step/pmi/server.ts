/**
 * One task's conversation with its process manager, in PMI-1 or PMI-2. A task starts other processes only by srun:
 * PMI_Spawn is refused in words that the program can show.
 *
 *   task ─ cmd=init ──────────► us ─ response_to_init (version agreed) ─►
 *   task ─ put … barrier_in ──► us ─ barrier_out, when every rank has come ─► get …
 *   task ─ finalize ──────────► us ─ finalize_ack ─►           task ─ abort ► the step is killed
 */
import type { Answer, Call } from "./call.ts";
import { MessageReader, NotPmi, printMessage, type Message, type Version } from "./message.ts";
import { answerPmi1 } from "./pmi1.ts";
import { answerPmi2 } from "./pmi2.ts";
import type { Space } from "./space.ts";

export interface PmiPeer {
  write(bytes: Uint8Array): void;
  close(): void;
  /** The program has called MPI_Abort, or the like. */
  abort(): void;
}

export class PmiServer {
  readonly #rank: number;
  readonly #space: Space;
  readonly #peer: PmiPeer;
  readonly #reader = new MessageReader();

  constructor(rank: number, space: Space, peer: PmiPeer) {
    this.#rank = rank;
    this.#space = space;
    this.#peer = peer;
  }

  /** Bytes of the task's. One that does not speak PMI is hung up on. */
  push(bytes: Uint8Array): void {
    try {
      this.#reader.push(bytes, (message) => this.#serve(message));
    } catch (error) {
      if (!(error instanceof NotPmi)) throw error;
      this.#peer.close();
    }
  }

  #serve(message: Message): void {
    const { version } = this.#reader;
    const reply = (answer: Answer) => this.#peer.write(printMessage(version, answer.cmd, answer.fields));
    if (version === 1 && message.get("cmd") === "init") {
      reply(this.#agree(message));
      return;
    }
    const call: Call = {
      message,
      rank: this.#rank,
      space: this.#space,
      field: (name) => message.get(name) ?? "",
      reply,
      abort: () => this.#peer.abort(),
    };
    const answer = version === 1 ? answerPmi1(call) : answerPmi2(call);
    if (answer !== null) reply(answer);
  }

  #agree(message: Message): Answer {
    const version: Version = message.get("pmi_version") === "2" ? 2 : 1;
    this.#reader.version = version;
    return {
      cmd: "response_to_init",
      fields: [
        ["pmi_version", version],
        ["pmi_subversion", version === 1 ? 1 : 0],
        ["rc", 0],
      ],
    };
  }
}
