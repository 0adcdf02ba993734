import { describe, expect, test } from "bun:test";
import { parseSacctmgr, parseSshare } from "#options/accounts.ts";
import { renderEntities, renderShares } from "./accounts.ts";

/** What `sacctmgr WORDS` prints. */
function list(words: string): string[] {
  const line = parseSacctmgr(words.split(" "));
  if (line.entity === null) throw new Error(`${words} lists nothing`);
  const parsable = line.parsable === null ? "none" : line.parsable === "closing" ? "ended" : "separated";
  return renderEntities({ ...line, entity: line.entity, parsable, delimiter: "|", clusterName: "here" });
}

describe("sacctmgr", () => {
  test.each([
    ["list user", ["      User   Def Acct     Admin ", "---------- ---------- --------- "]],
    ["-n list user someone format=account%20", []],
    ["-n -s list user someone format=account%256", []],
    ["-nP show assoc where user=someone format=account,partition", []],
    ["-nP list cluster format=cluster", ["here"]],
    ["-P show qos format=name,Priority", ["Name|Priority", "normal|0"]],
    ["-np lis tres format=type,name,id", expect.arrayContaining(["cpu||1|", "gres|gpu|1001|"])],
    ["-n show accounts", []],
  ] as const)("%s", (words, lines) => expect(list(words)).toEqual(lines as never));

  test("other words list nothing", () => {
    expect(parseSacctmgr(["add", "account", "x"])).toMatchObject({ entity: null, verb: "add" });
    expect(() => parseSacctmgr(["list", "nosuch"])).toThrow("No valid entity");
    expect(() => list("list user format=nosuch")).toThrow('Invalid field requested: "nosuch"');
  });
});

// The lines that a real sshare prints where priorities are not kept.
test("sshare", () => {
  const shown = (...words: string[]) => renderShares({ ...parseSshare(words), parsable: "none", delimiter: "|" });
  expect(shown()).toEqual([
    "Account                    User  RawShares  NormShares    RawUsage  EffectvUsage  FairShare ",
    "-------------------- ---------- ---------- ----------- ----------- ------------- ---------- ",
  ]);
  expect(shown("-U", "--format", "Account%256", "--noheader")).toEqual([]);
});
