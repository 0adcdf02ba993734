/** A step whose tasks find each other (mpi.ts), and one of its tasks. */

export interface MpiTask {
  /** On top of everything else, also inside a container. */
  readonly environment: Readonly<Record<string, string>>;
  /** The task finds it as descriptor 3; null: there is none. */
  readonly fd: number | null;
  /** The task has its copy of `fd`, or never will. */
  spawned(): void;
}

export interface MpiStep extends AsyncDisposable {
  /** Called once for each task, right before it is started. */
  openTask(rank: number): Promise<MpiTask>;
  /** Its process has been reaped. */
  taskEnded?(rank: number): Promise<void>;
}

export interface MpiOptions {
  readonly command: readonly string[];
  readonly isContainer: boolean;
  readonly spoolDir: string;
  /** The program wants the whole step killed. */
  readonly onAbort: () => void;
}
