/**
 * Daemons end at the first error that nobody caught: Bun would print it and go on, and a controller that limps on has
 * forgotten what it was told. Whoever comes next reads store and journals and repeats what is left to do.
 */
export function failFast(log: (error: unknown) => void): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      try {
        log(error);
      } finally {
        process.exit(1);
      }
    });
  }
}

/**
 * For handlers of sockets. What one throws is a bug of ours, or a disk that is full: not an error of its connection, for which
 * Bun takes it, but one that nobody caught.
 */
export function orDie(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
