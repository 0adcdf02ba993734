/** Licences that a job asks for (-L): `matlab:2,fluent` → names with counts, 1 without a number, NaN for what is none. */
export function parseLicenses(text: string | null): (readonly [name: string, count: number])[] {
  return (text ?? "")
    .split(/[,;]/)
    .filter(Boolean)
    .map((entry) => {
      const [name = "", count = "1"] = entry.split(":");
      return [name, Number(count)] as const;
    });
}
