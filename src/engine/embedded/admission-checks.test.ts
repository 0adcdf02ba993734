import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { emptyCommon } from "#options/job-draft.ts";
import { checkNodes } from "./admission-checks.ts";
import { parseConfig } from "./config.ts";

const config = parseConfig("NodeName=n1 CPUs=2 Gres=gpu:a100:2 Features=fast\nLicenses=matlab:2,fluent", "berth.conf");

/** The code of the refusal; "" when nothing is refused. */
function refusal(options: Partial<ReturnType<typeof emptyCommon>["job"]>): string {
  try {
    checkNodes(config, { ...emptyCommon().job, ...options });
    return "";
  } catch (error) {
    if (error instanceof BerthError) return error.code;
    throw error;
  }
}

describe("what the cluster has not got is refused", () => {
  test.each([
    [{}, ""],
    [{ nodeList: ["n1"] }, ""],
    [{ nodeList: ["n2"] }, "INVALID_NODE_NAME"],
    [{ nodeList: ["n1"], excludeNodes: ["n1"] }, "INVALID_NODE_NAME"],
    [{ constraint: "fast" }, ""],
    [{ constraint: "fast&slow" }, "INVALID_FEATURE"],
    [{ gres: "gpu:1" }, ""],
    [{ gres: "fpga:1" }, "INVALID_GRES"],
    [{ licenses: "matlab:2,fluent" }, ""],
    [{ licenses: "matlab:3" }, "INVALID_LICENSES"],
    [{ licenses: "ansys" }, "INVALID_LICENSES"],
    [{ licenses: "matlab:two" }, "INVALID_LICENSES"],
    [{ licenses: "matlab:-1" }, "INVALID_LICENSES"],
    [{ nodesMin: 0 }, "BAD_NODE_COUNT"],
  ] as const)("%j: %s", (options, code) => expect(refusal(options)).toBe(code));
});
