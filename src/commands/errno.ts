/** The system's words for an error, as strerror(3) says them. */
export function errnoWords(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return WORDS[code ?? ""] ?? message;
}

/** The same for the name of an error; undefined when we have no words for it. */
export function wordsOfCode(code: string): string | undefined {
  return WORDS[code];
}

const WORDS: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  EROFS: "Read-only file system",
  ENOSPC: "No space left on device",
  EMFILE: "Too many open files",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
  EINTR: "Interrupted system call",
  EIO: "Input/output error",
  EAGAIN: "Resource temporarily unavailable",
  ENOMEM: "Cannot allocate memory",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EINVAL: "Invalid argument",
  EPIPE: "Broken pipe",
  ECONNREFUSED: "Connection refused",
  ETIMEDOUT: "Connection timed out",
  EDQUOT: "Disk quota exceeded",
};
