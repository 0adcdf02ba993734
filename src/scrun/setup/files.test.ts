import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyFiles, undoFiles } from "./files.ts";
import type { PlannedFile } from "./plan.ts";

let dir: string;
let record: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-setup-"));
  record = join(dir, "state/record.json");
});
afterEach(() => rmSync(dir, { recursive: true }));

const own = (text = "ours\n"): PlannedFile => ({ kind: "own", path: join(dir, "etc/sub/50-berth.conf"), text });
const json = (value = "scrun"): PlannedFile => ({
  kind: "json",
  path: join(dir, "daemon.json"),
  settings: [{ keys: ["default-runtime"], value, why: "" }],
});
const apply = (files: readonly PlannedFile[], force = false) => applyFiles(files, record, { force }).map(({ action }) => action);
const undo = () => undoFiles(record).map(({ action }) => action);
const ODD = '{ "labels" : ["é=\\u00e9"],\r\n"debug":true }'; // what no printer gives back

test("undo leaves nothing of new files, not even their directories", () => {
  expect(apply([own(), json()])).toEqual(["written", "written"]);
  expect(apply([own(), json()])).toEqual(["unchanged", "unchanged"]);
  expect(undo()).toEqual(["removed", "removed"]);
  expect(readdirSync(dir)).toEqual(["state"]);
  expect(readdirSync(join(dir, "state"))).toEqual([]);
  expect(undo()).toEqual([]);
});

test("undo gives a file back byte for byte, mode included, also after two different calls", () => {
  const { path } = json();
  writeFileSync(path, ODD);
  chmodSync(path, 0o640);
  apply([json()]);
  apply([json("other")]);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ labels: ["é=é"], debug: true, "default-runtime": "other" });
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(undo()).toEqual(["restored"]);
  expect(readFileSync(path, "utf8")).toBe(ODD);
  expect(statSync(path).mode & 0o777).toBe(0o640);
});

test("changes made since are kept: in JSON beside what is taken back", () => {
  const { path } = json();
  writeFileSync(path, '{"default-runtime": "kata"}');
  apply([json()]);
  writeFileSync(path, readFileSync(path, "utf8").replace("{", '{"debug": true,'));
  expect(apply([json("other")])).toEqual(["written"]);
  expect(undo()).toEqual(["restored"]);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ debug: true, "default-runtime": "kata" });
});

test("a file of ours that was edited is neither replaced nor removed, unless told to", () => {
  apply([own()]);
  writeFileSync(own().path, "edited\n");
  expect(() => apply([own("new\n")])).toThrow("was changed since");
  expect(undo()).toEqual(["kept"]);
  expect(readFileSync(own().path, "utf8")).toBe("edited\n");
  expect(apply([own("new\n")], true)).toEqual(["written"]);
  expect(undo()).toEqual(["removed"]);
  expect(existsSync(own().path)).toBe(false);
});

test("a plan that no longer has a file takes it away", () => {
  apply([own(), json()]);
  expect(apply([json()])).toEqual(["unchanged", "removed"]);
  expect(existsSync(own().path)).toBe(false);
  expect(undo()).toEqual(["removed"]);
});

test("nothing is written when one file cannot be changed", () => {
  writeFileSync(json().path, "{");
  expect(() => apply([own(), json()])).toThrow("not a JSON object");
  expect(existsSync(own().path)).toBe(false);
  expect(existsSync(record)).toBe(false);
});

test("a symbolic link stays one", () => {
  mkdirSync(join(dir, "dotfiles"));
  const target = join(dir, "dotfiles/daemon.json");
  writeFileSync(target, ODD);
  symlinkSync(target, json().path);
  apply([json()]);
  expect(readFileSync(target, "utf8")).toContain("scrun");
  undo();
  expect(lstatSync(json().path).isSymbolicLink()).toBe(true);
  expect(readFileSync(target, "utf8")).toBe(ODD);
});
