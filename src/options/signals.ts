/** Linux's signals by number, name and description (signal(7), strsignal(3) of the C library). */
const SIGNALS: readonly (readonly [name: string, text: string])[] = [
  ["0", "Unknown signal 0"],
  ["HUP", "Hangup"],
  ["INT", "Interrupt"],
  ["QUIT", "Quit"],
  ["ILL", "Illegal instruction"],
  ["TRAP", "Trace/breakpoint trap"],
  ["ABRT", "Aborted"],
  ["BUS", "Bus error"],
  ["FPE", "Floating point exception"],
  ["KILL", "Killed"],
  ["USR1", "User defined signal 1"],
  ["SEGV", "Segmentation fault"],
  ["USR2", "User defined signal 2"],
  ["PIPE", "Broken pipe"],
  ["ALRM", "Alarm clock"],
  ["TERM", "Terminated"],
  ["STKFLT", "Stack fault"],
  ["CHLD", "Child exited"],
  ["CONT", "Continued"],
  ["STOP", "Stopped (signal)"],
  ["TSTP", "Stopped"],
  ["TTIN", "Stopped (tty input)"],
  ["TTOU", "Stopped (tty output)"],
  ["URG", "Urgent I/O condition"],
  ["XCPU", "CPU time limit exceeded"],
  ["XFSZ", "File size limit exceeded"],
  ["VTALRM", "Virtual timer expired"],
  ["PROF", "Profiling timer expired"],
  ["WINCH", "Window changed"],
  ["IO", "I/O possible"],
  ["PWR", "Power failure"],
  ["SYS", "Bad system call"],
];
const FIRST_REAL_TIME = 34;
const LAST_SIGNAL = 64;

/** A number, or a name with or without SIG in any case; undefined for anything else (commands.md §1.4.10). */
export function parseSignal(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= LAST_SIGNAL ? number : undefined;
  }
  const upper = text.toUpperCase();
  const name = upper.startsWith("SIG") ? upper.slice(3) : upper;
  const number = SIGNALS.findIndex((signal) => signal[0] === name);
  return number > 0 ? number : undefined;
}

/** 15 → `TERM`; the number itself where there is no name. */
export function signalName(number: number): string {
  return SIGNALS[number]?.[0] ?? String(number);
}

/** 9 → `Killed`, as srun and JobState reasons describe it. */
export function signalText(number: number): string {
  const known = SIGNALS[number]?.[1];
  if (known !== undefined) return known;
  return number >= FIRST_REAL_TIME && number <= LAST_SIGNAL ? `Real-time signal ${number - FIRST_REAL_TIME}` : `Unknown signal ${number}`;
}
