import { expect, test } from "bun:test";
import { mountsBelow } from "./mounts-below.ts";

const MOUNTINFO = `21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:5 / /run rw - tmpfs tmpfs rw
31 30 0:6 / /run/a rw - tmpfs tmpfs rw
32 30 0:7 / /run/ab rw - tmpfs tmpfs rw
33 31 0:8 / /run/a/with\\040space rw shared:1 - fuse f rw
34 33 0:9 / /run/a/with\\040space/in rw - tmpfs tmpfs rw
`;

test("mounts at and below a directory, the innermost first, with names as they are", () => {
  expect(mountsBelow("/run/a", MOUNTINFO)).toEqual(["/run/a/with space/in", "/run/a/with space", "/run/a"]);
  expect(mountsBelow("/nowhere", MOUNTINFO)).toEqual([]);
});
