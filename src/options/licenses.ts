/** Licences that a job asks for (-L): `matlab:2,fluent` → names with counts, 1 without a number (commands.md §1.4). */
export function parseLicenses(text: string | null): (readonly [name: string, count: number])[] {
  return (text ?? "")
    .split(/[,;]/)
    .filter(Boolean)
    .map((entry) => {
      const [name = "", count = "1"] = entry.split(":");
      return [name, Number(count)] as const;
    });
}
