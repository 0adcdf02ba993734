/** The absolute form of a path typed in `cwd`, with `.`, `..` and doubled slashes resolved; the text decides alone. */
export function absolutePath(cwd: string, path: string): string {
  const names: string[] = [];
  for (const name of (path.startsWith("/") ? path : `${cwd}/${path}`).split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
