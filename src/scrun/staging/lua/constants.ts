/** Constants of the `slurm` table (slurm.h). */
export const NO_VAL = 0xfffffffe;
export const INFINITE = 0xffffffff;

const CONSTANTS: Readonly<Record<string, number | string>> = {
  SUCCESS: 0,
  ERROR: -1,
  FAILURE: -1,
  SLURM_SUCCESS: 0,
  SLURM_ERROR: -1,
  NO_VAL,
  NO_VAL8: 0xfe,
  NO_VAL16: 0xfffe,
  INFINITE,
  INFINITE8: 0xff,
  INFINITE16: 0xffff,
  // Beyond Lua's integers: floats, as from Slurm.
  NO_VAL64: "18446744073709551614.0",
  INFINITE64: "18446744073709551615.0",
  MEM_PER_CPU: "9223372036854775808.0",
  NICE_OFFSET: 0x80000000,
  MAIL_JOB_BEGIN: 0x1,
  MAIL_JOB_END: 0x2,
  MAIL_JOB_FAIL: 0x4,
  MAIL_JOB_REQUEUE: 0x8,
  MAIL_JOB_TIME100: 0x10,
  MAIL_JOB_TIME90: 0x20,
  MAIL_JOB_TIME80: 0x40,
  MAIL_JOB_TIME50: 0x80,
  MAIL_JOB_STAGE_OUT: 0x100,
  MAIL_ARRAY_TASKS: 0x200,
};

/** As a Lua table. */
export const LUA_CONSTANTS = `{ ${Object.entries(CONSTANTS)
  .map(([name, value]) => `${name} = ${value}`)
  .join(", ")} }`;
