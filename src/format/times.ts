/**
 * Durations and dates as Slurm's commands print them (commands.md §1.4.1, §1.4.2). Local time is that of the process
 * (TZ); the clock itself comes as an argument.
 */
import type { EpochMs } from "#job/id.ts";

/** Milliseconds to whole seconds; every subtraction of times is done on these, as Slurm does. */
export function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/** squeue and sinfo: `0:02`, `5:00`, `1:30:00`, `1-02:00:00`; `INVALID` for a negative one. */
export function shortDuration(totalSeconds: number): string {
  if (totalSeconds < 0) return "INVALID";
  const s = totalSeconds % 60;
  const m = Math.floor(totalSeconds / 60) % 60;
  const h = Math.floor(totalSeconds / 3600) % 24;
  const d = Math.floor(totalSeconds / 86400);
  if (d > 0) return `${d}-${two(h)}:${two(m)}:${two(s)}`;
  if (h > 0) return `${h}:${two(m)}:${two(s)}`;
  return `${m}:${two(s)}`;
}

/** scontrol and sacct: `[D-]HH:MM:SS`; `INVALID` for a negative one. */
export function longDuration(totalSeconds: number): string {
  if (totalSeconds < 0) return "INVALID";
  const s = totalSeconds % 60;
  const m = Math.floor(totalSeconds / 60) % 60;
  const h = Math.floor(totalSeconds / 3600) % 24;
  const d = Math.floor(totalSeconds / 86400);
  return `${d > 0 ? `${d}-` : ""}${two(h)}:${two(m)}:${two(s)}`;
}

/** sacct's CPU times: `MM:SS.mmm` below an hour, else as `longDuration`; `00:00:00` when there is none. */
export function cpuDuration(milliseconds: number): string {
  const ms = Math.max(0, Math.round(milliseconds));
  if (ms === 0 || ms >= 3_600_000) return longDuration(seconds(ms));
  return `${two(Math.floor(ms / 60_000))}:${two(seconds(ms) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}

/** Formats a point in time; made once per command by `timeFormatter`. */
export type FormatTime = (at: EpochMs | number) => string;

/**
 * The formatter that SLURM_TIME_FORMAT asks for: unset, empty or `standard`, `relative`, or a strftime text.
 * `nowMs` is what "relative" relates to.
 */
export function timeFormatter(timeFormat: string | null, nowMs: number): FormatTime {
  if (timeFormat === null || timeFormat === "" || timeFormat === "standard") return standardFormatter();
  if (timeFormat === "relative") return (at) => relativeTime(at, nowMs);
  return (at) => strftime(timeFormat, new Date(at));
}

/** `YYYY-MM-DDTHH:MM:SS`; remembers the last minute, because neighbouring rows mostly share it. */
function standardFormatter(): FormatTime {
  let minuteStart = Number.NaN;
  let prefix = "";
  return (at) => {
    const start = at - (((at % 60_000) + 60_000) % 60_000); // zone offsets are whole minutes today
    if (start !== minuteStart) {
      const date = new Date(at);
      minuteStart = start;
      prefix =
        `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}` +
        `T${two(date.getHours())}:${two(date.getMinutes())}:`;
    }
    return prefix + two(Math.floor((at - start) / 1000));
  };
}

/** The date line of `squeue -l`, `sinfo -l` and -i: `Fri Nov 20 21:46:05 2026`. */
export function dateLine(nowMs: number): string {
  return strftime("%a %b %d %H:%M:%S %Y", new Date(nowMs));
}

function relativeTime(at: number, nowMs: number): string {
  const date = new Date(at);
  const dayOf = (d: Date) => Math.round(Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) / 86_400_000);
  const delta = dayOf(date) - dayOf(new Date(nowMs));
  if (delta === 0) return strftime("%H:%M:%S", date);
  if (delta === -1) return strftime("Ystday %H:%M", date);
  if (delta === 1) return strftime("Tomorr %H:%M", date);
  if (Math.abs(delta) > 365) return strftime("%-d %b %Y", date);
  if (Math.abs(delta) < 7) return strftime("%a %H:%M", date);
  return strftime("%-d %b %H:%M", date);
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/** The conversions of strftime(3) in the C locale, with the GNU flags `-` and `_`; unknown ones stay as they are. */
export function strftime(format: string, date: Date): string {
  return format.replace(/%([-_]?)([a-zA-Z%+])/g, (whole, flag: string, letter: string) => {
    const text = conversion(letter, date);
    if (text === undefined) return whole;
    if (flag === "-") return text.replace(/^[0 ]+(?=.)/, "");
    if (flag === "_") return text.replace(/^0+(?=.)/, (zeros) => " ".repeat(zeros.length));
    return text;
  });
}

function conversion(letter: string, date: Date): string | undefined {
  const hour12 = date.getHours() % 12 === 0 ? 12 : date.getHours() % 12;
  switch (letter) {
    case "a":
      return (DAYS[date.getDay()] ?? "").slice(0, 3);
    case "A":
      return DAYS[date.getDay()] ?? "";
    case "b":
    case "h":
      return (MONTHS[date.getMonth()] ?? "").slice(0, 3);
    case "B":
      return MONTHS[date.getMonth()] ?? "";
    case "c":
      return strftime("%a %b %e %H:%M:%S %Y", date);
    case "C":
      return two(Math.floor(date.getFullYear() / 100));
    case "d":
      return two(date.getDate());
    case "D":
    case "x":
      return strftime("%m/%d/%y", date);
    case "e":
      return String(date.getDate()).padStart(2, " ");
    case "F":
      return strftime("%Y-%m-%d", date);
    case "H":
      return two(date.getHours());
    case "I":
      return two(hour12);
    case "j":
      return String(dayOfYear(date)).padStart(3, "0");
    case "k":
      return String(date.getHours()).padStart(2, " ");
    case "l":
      return String(hour12).padStart(2, " ");
    case "m":
      return two(date.getMonth() + 1);
    case "M":
      return two(date.getMinutes());
    case "n":
      return "\n";
    case "p":
      return date.getHours() < 12 ? "AM" : "PM";
    case "r":
      return strftime("%I:%M:%S %p", date);
    case "R":
      return strftime("%H:%M", date);
    case "s":
      return String(seconds(date.getTime()));
    case "S":
      return two(date.getSeconds());
    case "t":
      return "\t";
    case "T":
    case "X":
      return strftime("%H:%M:%S", date);
    case "u":
      return String(date.getDay() === 0 ? 7 : date.getDay());
    case "w":
      return String(date.getDay());
    case "y":
      return two(date.getFullYear() % 100);
    case "Y":
      return String(date.getFullYear());
    case "z":
      return zoneOffset(date);
    case "Z":
      return (
        new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date).find((part) => part.type === "timeZoneName")
          ?.value ?? ""
      );
    case "%":
      return "%";
    default:
      return undefined;
  }
}

function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1);
  return Math.floor((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000) + 1;
}

function zoneOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
}
