import { expect, test } from "bun:test";
import { packRecords, sharingWith, unpackRecords } from "./packed-records.ts";

const through = (records: object[]) => unpackRecords(JSON.parse(JSON.stringify(packRecords(records))));

test("records come back as they were", () => {
  const records = [1, 2, 3].map((jobId) => ({ jobId, name: "same", flags: [], nested: { a: jobId === 3 ? 2 : 1 }, none: null }));
  expect(through(records)).toEqual(records);
});

test("what all records have in common is said once", () => {
  const { same, columns } = packRecords([
    { jobId: 1, flags: ["A"], name: null },
    { jobId: 2, flags: ["A"], name: null },
  ]);
  expect(same).toEqual({ flags: ["A"], name: null });
  expect(columns).toEqual({ jobId: [1, 2] });
});

test("a record of another shape keeps its own fields", () => {
  const records = [{ jobId: 1 }, { jobId: 2, extra: "x" }];
  expect(through(records)).toEqual([{ jobId: 1, extra: null }, records[1]] as object[]);
});

test("fields named like properties of every object are fields", () => {
  const records = [
    { constructor: 1, toString: "a" },
    { constructor: 2, toString: "a" },
  ];
  expect(through(records)).toEqual(records);
});

test("sharing changes no value", () => {
  const other = { list: ["a"], text: "abc", only: 1 };
  const record = { list: ["a"], text: "abd", only: 1 };
  const shared = sharingWith(record, other);
  expect(shared).toEqual(record);
  expect(shared.list).toBe(other.list);
});
