/**
 * Points in time as users type them: `16:00`, `2030-01-02T03:04`, `noon tomorrow`, `now+1hour` (commands.md §1.4.2).
 * A text is a row of words, dates and times of day; dates alone begin at 00:00, times alone mean their next
 * occurrence. All in the process's time zone.
 */
import type { EpochMs } from "#job/id.ts";

export type TimePoint =
  | { readonly kind: "time"; readonly at: EpochMs }
  /** `message` is the line that Slurm prints for it, without any command's name. */
  | { readonly kind: "invalid"; readonly message: string };

export interface TimePointOptions {
  readonly now: EpochMs;
  /** The text is about the past (sacct): a time of day is today's, and a date without year this year's. */
  readonly isPast?: boolean;
}

const HOURS: ReadonlyMap<string, number> = new Map([
  ["midnight", 0],
  ["noon", 12],
  ["fika", 15],
  ["teatime", 16],
]);
const UNIT_SECONDS: ReadonlyMap<string, number> = new Map([
  ["second", 1],
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
  ["week", 604_800],
]);
/** Year 9999; later ones have no four-digit year to print. */
const MAX_SECONDS = 253_402_300_799;

export function parseTimePoint(text: string, options: TimePointOptions): TimePoint {
  const reader = new Reader(text, options);
  const failedAt = reader.read();
  return failedAt === undefined
    ? { kind: "time", at: reader.result() }
    : { kind: "invalid", message: `Invalid time specification (pos=${failedAt}): ${text}` };
}

interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}
interface Clock {
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/** Reads the text from left to right; each method returns the offset of the offending character, if there is one. */
class Reader {
  readonly #text: string;
  readonly #now: EpochMs;
  readonly #isPast: boolean;
  #pos = 0;
  #at: EpochMs | undefined;
  #day: Day | undefined;
  #isYearGiven = true;
  #clock: Clock | undefined;

  constructor(text: string, options: TimePointOptions) {
    this.#text = text;
    this.#now = options.now;
    this.#isPast = options.isPast ?? false;
  }

  read(): number | undefined {
    if (this.#text.trim() === "") return 0;
    while (this.#pos < this.#text.length) {
      // Date and time of day may be joined by a blank, a T, or (after MM/DD/YY) a dash.
      if (this.#take(/\s+/y) !== null || (this.#day !== undefined && this.#take(/[Tt-](?=\d)/y) !== null)) continue;
      const failedAt = this.#readItem();
      if (failedAt !== undefined) return failedAt;
    }
    return undefined;
  }

  #readItem(): number | undefined {
    const start = this.#pos;
    if (this.#at !== undefined) return start;
    const epoch = this.#take(/uts(\d{1,12})/iy)?.[1];
    if (epoch !== undefined) return this.#setAt(Number(epoch), start);
    const word = this.#take(/[a-z]+/iy)?.[0].toLowerCase();
    if (word !== undefined) return this.#readWord(word, start);
    if (this.#ahead(/\d{1,2}:/y)) return this.#readClock(start);
    return this.#readDate(start);
  }

  #readWord(word: string, start: number): number | undefined {
    if (word === "now") return this.#readNow(start);
    if (word === "today" || word === "tomorrow") {
      if (this.#day !== undefined) return start;
      this.#day = dayOf(this.#now, word === "today" ? 0 : 1);
      return undefined;
    }
    const hour = HOURS.get(word);
    if (hour === undefined || this.#clock !== undefined) return start;
    this.#clock = { hour, minute: 0, second: 0 };
    return undefined;
  }

  #readNow(start: number): number | undefined {
    if (this.#day !== undefined || this.#clock !== undefined) return start;
    const delta = this.#take(/\s*([+-])\s*(\d{1,12})\s*([a-z]*)/iy);
    const unit = (delta?.[3] ?? "").toLowerCase();
    const factor = unit === "" ? 1 : UNIT_SECONDS.get(unit.replace(/s$/, ""));
    if (factor === undefined) return this.#pos - unit.length;
    const seconds = Number(delta?.[2] ?? 0) * factor;
    const now = Math.floor(this.#now / 1000);
    return this.#setAt(delta?.[1] === "-" ? now - seconds : now + seconds, start);
  }

  #setAt(seconds: number, start: number): number | undefined {
    if (this.#day !== undefined || this.#clock !== undefined || Math.abs(seconds) > MAX_SECONDS) return start;
    this.#at = (seconds * 1000) as EpochMs;
    return undefined;
  }

  #readClock(start: number): number | undefined {
    const match = this.#take(/(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d*)?/y);
    if (match === null || this.#clock !== undefined) return start;
    let hour = Number(match[1]);
    const minute = Number(match[2]);
    const second = Number(match[3] ?? 0);
    const half = this.#take(/\s*([ap])m/iy)?.[1]?.toLowerCase();
    if (hour > (half === undefined ? 23 : 12)) return start;
    if (minute > 59) return start + (match[1] ?? "").length + 1;
    if (second > 59) return start + (match[1] ?? "").length + 4;
    if (half !== undefined) hour = (hour % 12) + (half === "p" ? 12 : 0);
    this.#clock = { hour, minute, second };
    return undefined;
  }

  #readDate(start: number): number | undefined {
    if (this.#day !== undefined) return start;
    const iso = this.#take(/(\d{4})-(\d{2})-(\d{2})(?!\d)/y);
    if (iso !== null) return this.#setDay(iso[1], iso[2], iso[3], start + 5, start + 8);
    const split = this.#take(/(\d{1,2})[./](\d{1,2})(?:[./](\d{4}|\d{2}))?(?!\d)/y);
    if (split !== null) return this.#setDay(split[3], split[1], split[2], start, start + (split[1] ?? "").length + 1);
    const packed = this.#take(/(\d{2})(\d{2})(\d{2})?(?!\d)/y);
    if (packed !== null) return this.#setDay(packed[3], packed[1], packed[2], start, start + 2);
    return start;
  }

  #setDay(
    year: string | undefined,
    month: string | undefined,
    day: string | undefined,
    monthAt: number,
    dayAt: number,
  ): number | undefined {
    this.#isYearGiven = year !== undefined;
    const full = year === undefined ? new Date(this.#now).getFullYear() : Number(year) + (year.length === 2 ? 2000 : 0);
    const parsed = { year: full, month: Number(month), day: Number(day) };
    if (parsed.month < 1 || parsed.month > 12) return monthAt;
    if (parsed.day < 1 || parsed.day > 31) return dayAt;
    this.#day = parsed;
    return undefined;
  }

  result(): EpochMs {
    if (this.#at !== undefined) return this.#at;
    const clock = this.#clock ?? { hour: 0, minute: 0, second: 0 };
    if (this.#day === undefined) {
      const today = epochOf(dayOf(this.#now, 0), clock);
      return today > this.#now || this.#isPast ? today : epochOf(dayOf(this.#now, 1), clock);
    }
    const at = epochOf(this.#day, clock);
    const isOver = epochOf(this.#day, { hour: 23, minute: 59, second: 59 }) < this.#now;
    if (this.#isYearGiven || this.#isPast || !isOver) return at;
    return epochOf({ ...this.#day, year: this.#day.year + 1 }, clock);
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#pos;
    const match = sticky.exec(this.#text);
    if (match !== null) this.#pos += match[0].length;
    return match;
  }

  #ahead(sticky: RegExp): boolean {
    sticky.lastIndex = this.#pos;
    return sticky.test(this.#text);
  }
}

function dayOf(now: EpochMs, daysLater: number): Day {
  const date = new Date(now);
  date.setDate(date.getDate() + daysLater);
  return { year: date.getFullYear(), month: date.getMonth() + 1, day: date.getDate() };
}

function epochOf(day: Day, clock: Clock): EpochMs {
  const date = new Date(day.year, day.month - 1, day.day, clock.hour, clock.minute, clock.second);
  date.setFullYear(day.year, day.month - 1, day.day); // the constructor takes years below 100 as 19xx
  return date.getTime() as EpochMs;
}
