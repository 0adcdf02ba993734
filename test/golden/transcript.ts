// The transcript language: what a session with the commands looked like, line by line.
//
//   # text      title (first line) or note        $ command    as typed, in a shell that lives through the file
//   < text      stdin of that command             | text       its stdout        ! text   its stderr
//   = N         its exit status                   % text       the stream above does not end in a newline
//   @ NAME … @  a file made before the next command, indented by two blanks

export interface Exchange {
  /** Counts the commands of a file from 1: the list of differences names them by it. */
  readonly number: number;
  readonly command: string;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly status: number;
}

/** Text of one transcript → its commands in order. A command without "= N" (the recorder died) has status -1. */
export function parseTranscript(text: string): Exchange[] {
  const exchanges: Exchange[] = [];
  let open: { command: string; stdout: string[]; stderr: string[]; status: number } | undefined;
  let last: string[] | undefined;
  let inFile = false;
  const close = () => {
    if (open !== undefined) exchanges.push({ number: exchanges.length + 1, ...open });
    open = undefined;
  };
  for (const line of text.split("\n")) {
    if (inFile) {
      inFile = line !== "@";
      continue;
    }
    if (line.startsWith("@ ")) {
      inFile = true;
      continue;
    }
    if (line.startsWith("$ ")) {
      close();
      open = { command: line.slice(2), stdout: [], stderr: [], status: -1 };
      continue;
    }
    if (open === undefined) continue;
    if (line.startsWith("| ") || line === "|") {
      last = open.stdout;
      last.push(line.slice(2));
    } else if (line.startsWith("! ") || line === "!") {
      last = open.stderr;
      last.push(line.slice(2));
    } else if (line.startsWith("% no newline") && last !== undefined) last.push("% no newline at the end");
    else if (line.startsWith("= ")) {
      open.status = Number(line.slice(2));
      close();
    }
  }
  close();
  return exchanges;
}
