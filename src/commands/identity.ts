/** Who asks and where, for the query commands: names of users and groups, and of this host. Without context.ts's system calls. */
export { shortHostName } from "#platform/directories.ts";
export { findUserId, groupName, userName } from "#platform/users.ts";

export function ownUserId(): number {
  return process.getuid?.() ?? 0;
}

export function ownGroupId(): number {
  return process.getgid?.() ?? 0;
}
