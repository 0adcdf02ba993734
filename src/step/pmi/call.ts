/** One message of a task, and what an answer to it may be. */
import type { Fields, Message } from "./message.ts";
import type { Space } from "./space.ts";

export interface Answer {
  readonly cmd: string;
  readonly fields: Fields;
}

export interface Call {
  readonly message: Message;
  readonly rank: number;
  readonly space: Space;
  /** The field, empty when it is missing. */
  field(name: string): string;
  /** An answer that comes later. */
  reply(answer: Answer): void;
  /** The program has called MPI_Abort, or the like. */
  abort(): void;
}

/** Null: the answer comes later, or never. */
export type Handler = (call: Call) => Answer | null;

export const NO_SPAWN = "PMI_Spawn is not supported: start more tasks with srun";
export const NO_ROOM = "no room for more keys";
/** PMI-1 cannot say a value with a blank in it. */
export const NO_BLANKS = "a value with blanks";
