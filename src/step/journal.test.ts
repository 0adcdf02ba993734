import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendToJournal, findResult, Journal, readJournal, type JournalEntry, type StepResult } from "./journal.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-journal-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const started = (task: number): JournalEntry => ({ kind: "started", task, process: { pid: 100 + task, startTicks: 5 } });
const result: StepResult = {
  exit: { code: 3, signal: 0 },
  usage: { userCpuMs: 0, systemCpuMs: 0, maxRssKib: null, maxRssTask: null, maxRssNode: null },
  endedAt: 7 as never,
  launchFailure: null,
  terminated: null,
  outOfMemory: false,
};

function write(...entries: readonly JournalEntry[]): void {
  using journal = new Journal(dir);
  for (const entry of entries) journal.append(entry);
}

describe("journal", () => {
  test("what was appended is read, in order, over several writers", () => {
    write(started(0));
    write(started(1), { kind: "ended", result });
    expect(readJournal(dir)).toEqual([started(0), started(1), { kind: "ended", result }]);
    expect(findResult(readJournal(dir))).toEqual(result);
  });
  test("none yet, or no directory, is empty", () => {
    expect(readJournal(dir)).toEqual([]);
    expect(readJournal(join(dir, "nosuch"))).toEqual([]);
    expect(findResult([])).toBeUndefined();
  });
  test("a torn last line is ignored, at every length", () => {
    write(started(0), { kind: "ended", result });
    const text = readFileSync(join(dir, "journal"), "utf8");
    const first = text.indexOf("\n") + 1;
    for (let length = first; length < text.length; length++) {
      writeFileSync(join(dir, "journal"), text.slice(0, length));
      expect(readJournal(dir)).toEqual([started(0)]);
    }
  });
  test("whoever goes on after a torn line loses nothing of his own", () => {
    write(started(0));
    appendFileSync(join(dir, "journal"), '{"kind":"exi');
    write(started(1), started(2));
    expect(readJournal(dir)).toEqual([started(0), started(1), started(2)]);
  });
  test("somebody else's line goes where there is a journal, and nowhere else", () => {
    appendToJournal(dir, started(0));
    expect(readJournal(dir)).toEqual([]);
    write(started(0));
    appendToJournal(dir, { kind: "reaped", pid: 100, status: { kind: "exited", code: 4 } });
    expect(readJournal(dir)).toHaveLength(2);
  });
  test("the file is its owner's alone", async () => {
    write(started(0));
    expect((await Bun.file(join(dir, "journal")).stat()).mode & 0o777).toBe(0o600);
  });
});
