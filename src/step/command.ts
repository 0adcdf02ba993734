/** Finding a task's program as execve and Slurm's step daemon would (commands.md §2.1, §2.3). */
import { accessSync, constants, openSync, readSync, closeSync, statSync } from "node:fs";
import { constants as os } from "node:os";
import { join, resolve } from "node:path";

/**
 * A name without `/` is looked up along PATH and then in the working directory; the first executable file wins, and when
 * there is none but a file of that name exists, it is returned so that the failure to execute it can be told. Undefined when
 * there is nothing.
 */
export function findCommand(name: string, options: { readonly path: string | undefined; readonly cwd: string }): string | undefined {
  if (name.includes("/")) return resolve(options.cwd, name);
  let fallback: string | undefined;
  for (const dir of [...(options.path ?? "").split(":"), ""]) {
    const candidate = join(dir === "" ? options.cwd : dir, name);
    try {
      if (!statSync(candidate).isFile()) continue;
      fallback ??= candidate;
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not here, or not executable: the next directory may have it.
    }
  }
  return fallback;
}

export interface ExecFailure {
  readonly errno: number;
  /** As after `slurmstepd: error: `. */
  readonly message: string;
}

const TEXTS: Readonly<Record<number, string>> = {
  [os.errno.ENOENT]: "No such file or directory",
  [os.errno.EACCES]: "Permission denied",
  [os.errno.ENOEXEC]: "Exec format error",
  [os.errno.ELOOP]: "Too many levels of symbolic links",
  [os.errno.ENAMETOOLONG]: "File name too long",
  [os.errno.E2BIG]: "Argument list too long",
  [os.errno.ENOTDIR]: "Not a directory",
  [os.errno.ETXTBSY]: "Text file busy",
  [os.errno.ENOMEM]: "Cannot allocate memory",
  [os.errno.EAGAIN]: "Resource temporarily unavailable",
  [os.errno.EIO]: "Input/output error",
  [os.errno.EPERM]: "Operation not permitted",
};

export function errnoText(errno: number): string {
  return TEXTS[errno] ?? `Unknown error ${errno}`;
}

/** Words for a program that could not be executed; a missing interpreter is named instead of the script. */
export function execFailure(
  name: string,
  options: { readonly path: string | undefined; readonly cwd: string; readonly error: unknown },
): ExecFailure {
  const { path, cwd, error } = options;
  const errno = path === undefined ? os.errno.ENOENT : Math.abs((error as NodeJS.ErrnoException).errno ?? os.errno.EIO);
  // Slurm shows the working directory in front of a relative path, and does not tidy it.
  const shown = name.includes("/") && !name.startsWith("/") ? `${cwd}/${name}` : name;
  if (errno === os.errno.ENOENT && path !== undefined) {
    const interpreter = readInterpreter(path);
    if (interpreter !== undefined) return { errno, message: `execve(): bad interpreter(${interpreter}): ${errnoText(errno)}` };
  }
  return { errno, message: `execve(): ${shown}: ${errnoText(errno)}` };
}

function readInterpreter(path: string): string | undefined {
  try {
    const fd = openSync(path, "r");
    try {
      const buffer = Buffer.alloc(256);
      const line = buffer.toString("latin1", 0, readSync(fd, buffer)).split("\n", 1)[0] ?? "";
      return /^#!\s*(\S+)/.exec(line)?.[1];
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
