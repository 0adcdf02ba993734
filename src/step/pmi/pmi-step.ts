/** `--mpi=pmi2` in the step daemon: one key space for the step, one inherited socket for each task. */
import { openInheritedSocket, type InheritedSocket } from "#platform/inherited-socket.ts";
import type { StepFacts } from "#job/environment.ts";
import type { MpiStep, MpiTask } from "../mpi-step.ts";
import { PmiServer } from "./server.ts";
import { Space } from "./space.ts";

/** Which descriptor the task finds its socket at: the first after the standard streams. */
const TASK_FD = 3;

export class PmiStep implements MpiStep {
  readonly #space: Space;
  readonly #jobId: string;
  readonly #onAbort: () => void;
  readonly #sockets: InheritedSocket[] = [];

  constructor(facts: StepFacts, options: { readonly isContainer: boolean; readonly onAbort: () => void }) {
    this.#onAbort = options.onAbort;
    this.#jobId = `${facts.jobId}.${facts.stepKey}`;
    const nodeOf = Array.from({ length: facts.tasks }, (_, rank) => facts.nodes.findIndex(({ ranks }) => ranks.includes(rank)));
    this.#space = new Space({
      name: this.#jobId,
      // Each container has its own /dev/shm and /tmp: its rank shares memory with nobody.
      nodeOf: options.isContainer ? nodeOf.map((_node, rank) => rank) : nodeOf,
      universeSize: facts.tasks,
    });
  }

  async openTask(rank: number): Promise<MpiTask> {
    let socket: InheritedSocket | undefined;
    const server = new PmiServer(rank, this.#space, {
      write: (bytes) => socket?.write(bytes),
      close: () => socket?.close(),
      abort: this.#onAbort,
    });
    socket = await openInheritedSocket({ data: (bytes) => server.push(bytes), closed: () => undefined });
    this.#sockets.push(socket);
    const { childFd } = socket;
    return {
      environment: {
        PMI_FD: String(TASK_FD),
        PMI_RANK: String(rank),
        PMI_SIZE: String(this.#space.size),
        PMI_JOBID: this.#jobId,
      },
      fd: childFd,
      spawned: () => socket.closeChildEnd(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.splice(0)) {
      socket.closeChildEnd();
      socket.close();
    }
  }
}
