/** Lua sources and shell scripts are part of the executable as text. */
declare module "*.lua" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: what an import attribute of type text gives
  export default text;
}
declare module "*.sh" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: what an import attribute of type text gives
  export default text;
}
