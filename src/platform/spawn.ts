/** Starting processes: tasks of steps, with their own streams, and daemons that outlive us. */
import { constants } from "node:os";
import type { ExitStatus } from "#job/outcome.ts";
import { peakRssKib } from "./measure.ts";
import { registerChild } from "./orphans.ts";

export interface Usage {
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  /** Null when the kernel's figure is no more than what this process itself had when it made the child: then it says nothing of the child. */
  readonly maxRssKib: number | null;
}

export interface RunningProcess {
  readonly pid: number;
  /** Resolves when it is reaped. */
  readonly exited: Promise<ExitStatus>;
  /** Figures of it and its waited-for children (getrusage(2)); null while it runs. */
  usage(): Usage | null;
}

export interface TerminalHandle {
  write(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
  close(): void;
}

export type TaskStreams =
  /** File descriptors that the caller owns and closes after the call. */
  | { readonly kind: "files"; readonly stdin: number | "null"; readonly stdout: number | "null"; readonly stderr: number | "null" }
  | {
      readonly kind: "terminal";
      readonly rows: number;
      readonly columns: number;
      readonly onOutput: (bytes: Uint8Array) => void;
      readonly onClose: () => void;
    };

export interface TaskCommand {
  /** argv[0] as the program sees it; `path` is what is executed. */
  readonly argv: readonly [string, ...string[]];
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly streams: TaskStreams;
  /** The caller's; the program finds it as descriptor 3. */
  readonly extraFd?: number | null;
}

/**
 * Starts a program as leader of its own session.
 * @throws the system's error with a negative `errno` (ENOENT, EACCES, ENOEXEC …) when it cannot be executed
 */
export function spawnTask(command: TaskCommand): RunningProcess & { readonly terminal: TerminalHandle | null } {
  const common = { argv0: command.argv[0], cwd: command.cwd, env: { ...command.env } };
  const cmd = [command.path, ...command.argv.slice(1)];
  const { streams } = command;
  const extra = command.extraFd == null ? [] : [command.extraFd];
  if (streams.kind === "files") {
    const slot = (stream: number | "null") => (stream === "null" ? "ignore" : stream);
    const child = Bun.spawn(cmd, {
      ...common,
      detached: true,
      stdio: [slot(streams.stdin), slot(streams.stdout), slot(streams.stderr), ...extra],
    });
    return { ...running(child), terminal: null };
  }
  const child = Bun.spawn(cmd, {
    ...common,
    // The first three are the terminal.
    ...(extra.length === 0 ? {} : { stdio: ["ignore", "ignore", "ignore", ...extra] }),
    terminal: {
      cols: streams.columns,
      rows: streams.rows,
      data: (_terminal, bytes) => streams.onOutput(bytes),
      exit: () => streams.onClose(),
    },
  });
  const { terminal } = child;
  if (terminal === undefined) throw new Error("Bun gave no terminal");
  return {
    ...running(child),
    terminal: {
      write: (bytes) => {
        terminal.write(bytes);
      },
      resize: (columns, rows) => terminal.resize(columns, rows),
      close: () => terminal.close(),
    },
  };
}

function running(child: Bun.Subprocess, role: "task" | "tool" = "task"): RunningProcess {
  registerChild(child, role);
  // Until its execve(2) the child has our memory, and the kernel counts that too (ru_maxrss of getrusage(2) keeps the most that
  // any program of the process had). A tool's figures are of no interest.
  const inheritedKib = role === "task" ? peakRssKib(process.pid) : null;
  return { pid: child.pid, exited: child.exited.then(() => exitStatusOf(child)), usage: () => usageOf(child, inheritedKib ?? 0) };
}

export function exitStatusOf(child: Bun.Subprocess): ExitStatus {
  if (child.signalCode !== null) {
    const { signalCode } = child;
    return { kind: "signaled", signal: typeof signalCode === "number" ? signalCode : constants.signals[signalCode], coreDumped: false };
  }
  return { kind: "exited", code: child.exitCode ?? 0 };
}

/** The kernel counts in batches, for each CPU: two readings of the same memory differ. */
const ABOVE_DOUBT = 1.25;

function usageOf(child: Bun.Subprocess, inheritedKib: number): Usage | null {
  const usage = child.resourceUsage();
  if (usage === undefined) return null;
  const maxRssKib = Math.round(Number(usage.maxRSS) / 1024);
  return {
    userCpuMs: Math.round(Number(usage.cpuTime.user) / 1000),
    systemCpuMs: Math.round(Number(usage.cpuTime.system) / 1000),
    maxRssKib: maxRssKib > inheritedKib * ABOVE_DOUBT ? maxRssKib : null,
  };
}

/** A command of the user's own in the foreground: our terminal, our group, our environment. salloc's command, mostly. argv[0] is what is executed. */
export function spawnForeground(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  calledAs: string = argv[0],
): RunningProcess {
  return running(Bun.spawn([...argv], { argv0: calledAs, env: { ...env }, stdio: ["inherit", "inherit", "inherit"] }));
}

/** The same, with one of its output streams (1 or 2) passing through us. */
export function spawnOverheard(
  argv: readonly [string, ...string[]],
  options: { readonly env: Readonly<Record<string, string>>; readonly stream: 1 | 2; readonly calledAs?: string },
): RunningProcess & { readonly heard: AsyncIterable<Uint8Array> } {
  const { stream, env, calledAs = argv[0] } = options;
  const child = Bun.spawn([...argv], {
    argv0: calledAs,
    env: { ...env },
    stdio: ["inherit", stream === 1 ? "pipe" : "inherit", stream === 2 ? "pipe" : "inherit"],
  });
  const heard = stream === 1 ? child.stdout : child.stderr;
  if (heard === undefined) throw new Error("Bun gave no stream");
  return { ...running(child), heard };
}

/** A program on two streams that are ours by number, whose standard error comes to us. */
export function spawnOnStreams(
  argv: readonly [string, ...string[]],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly stdin: number;
    readonly stdout: number;
  },
): RunningProcess & { readonly stderr: AsyncIterable<Uint8Array> } {
  const { env, cwd, stdin, stdout } = options;
  const child = Bun.spawn([...argv], { env: { ...env }, cwd, stdio: [stdin, stdout, "pipe"] });
  return { ...running(child, "tool"), stderr: child.stderr };
}

/** The same, with its standard output collected. */
export async function captureOutput(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly status: ExitStatus; readonly stdout: string }> {
  const child = Bun.spawn([...argv], { env: { ...env }, stdio: ["inherit", "pipe", "inherit"] });
  const [stdout, status] = await Promise.all([new Response(child.stdout).text(), running(child).exited]);
  return { status, stdout };
}

/**
 * Starts a process that outlives us: own session, root directory as working directory, `logFd` for its messages.
 * Its environment is exactly `env`.
 */
export function spawnDaemon(
  argv: readonly [string, ...string[]],
  options: {
    readonly logFd: number;
    readonly env: Readonly<Record<string, string>>;
    readonly argv0: string;
  },
): RunningProcess {
  const child = Bun.spawn([...argv], {
    argv0: options.argv0,
    cwd: "/",
    env: { ...options.env },
    detached: true,
    stdio: ["ignore", options.logFd, options.logFd],
  });
  child.unref();
  return running(child, "tool"); // whoever starts it may be a subreaper, and must not take it for something left behind
}

/**
 * Starts a program with exactly these files as its 0, 1, 2, 3 … (ours, by number; "null" is /dev/null). The caller keeps its own.
 * @param options.isDaemon it leads its own session, and outlives us
 */
export function spawnWithFiles(
  argv: readonly [string, ...string[]],
  options: {
    readonly files: readonly (number | "null")[];
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly argv0?: string;
    readonly isDaemon?: boolean;
  },
): RunningProcess {
  const [stdin = "ignore", stdout = "ignore", stderr = "ignore", ...others] = options.files.map((file) =>
    file === "null" ? ("ignore" as const) : file,
  );
  const child = Bun.spawn([...argv], {
    argv0: options.argv0 ?? argv[0],
    cwd: options.cwd,
    env: { ...options.env },
    detached: options.isDaemon === true,
    stdio: [stdin, stdout, stderr, ...others],
  });
  if (options.isDaemon === true) child.unref();
  return running(child, "tool");
}
