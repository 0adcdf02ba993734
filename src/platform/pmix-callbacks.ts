/**
 * What libpmix calls in us, in C: its own thread calls, wants an answer at once, and JavaScript has another thread. So each
 * callback answers by itself and reports one line to a descriptor. Bun compiles it in memory; no compiler is needed.
 *
 * All tasks of a step are on this one server, so a fence is complete when it is asked for.
 * Signatures: pmix_server.h of PMIx 4.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cc, type Pointer } from "bun:ffi";

const SOURCE = `
extern long write(int fd, const void *bytes, unsigned long count);
extern int snprintf(char *text, unsigned long size, const char *format, ...);
extern void free(void *memory);

typedef void (*done_fn)(int status, void *data);
typedef void (*fenced_fn)(int status, const char *blob, unsigned long size, void *data, void (*release)(void *), void *released);
struct proc { char nspace[256]; unsigned int rank; };

static int report_fd = -1;
void *set_report_fd(int fd) { report_fd = fd; return 0; }

static void report(const char *what, const struct proc *proc, int status) {
  char line[80];
  int length = snprintf(line, sizeof line, "%s %u %d\\n", what, proc->rank, status);
  write(report_fd, line, length); /* shorter than PIPE_BUF: never torn */
}

static int connected(const struct proc *proc, void *object, done_fn done, void *data) {
  report("connected", proc, 0);
  if (done) done(0, data);
  return 0;
}

static int finalized(const struct proc *proc, void *object, done_fn done, void *data) {
  report("finalized", proc, 0);
  if (done) done(0, data);
  return 0;
}

static int aborted(const struct proc *proc, void *object, int status, const char *message, void *procs, unsigned long count,
                   done_fn done, void *data) {
  report("abort", proc, status);
  if (done) done(0, data);
  return 0;
}

static int fenced(const void *procs, unsigned long count, const void *info, unsigned long infos, char *blob, unsigned long size,
                  fenced_fn done, void *data) {
  if (done) done(0, blob, size, data, free, blob);
  return 0;
}

void *connected_address(void) { return (void *)connected; }
void *finalized_address(void) { return (void *)finalized; }
void *aborted_address(void) { return (void *)aborted; }
void *fenced_address(void) { return (void *)fenced; }
`;

export interface PmixCallbacks {
  readonly connected: Pointer;
  readonly finalized: Pointer;
  readonly aborted: Pointer;
  readonly fenced: Pointer;
}

/** Lines `connected|finalized|abort RANK STATUS` come out at `reportFd`. `dir` is ours: the source passes through it. */
export function compilePmixCallbacks(dir: string, reportFd: number): PmixCallbacks {
  const source = join(dir, "callbacks.c");
  mkdirSync(dir, { recursive: true });
  writeFileSync(source, SOURCE);
  const address = { args: [], returns: "ptr" } as const;
  const { symbols } = cc({
    source,
    symbols: {
      set_report_fd: { args: ["i32"], returns: "ptr" },
      connected_address: address,
      finalized_address: address,
      aborted_address: address,
      fenced_address: address,
    },
  });
  symbols.set_report_fd(reportFd);
  return {
    connected: symbols.connected_address() as Pointer,
    finalized: symbols.finalized_address() as Pointer,
    aborted: symbols.aborted_address() as Pointer,
    fenced: symbols.fenced_address() as Pointer,
  };
}
