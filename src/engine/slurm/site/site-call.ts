/** What a user's command becomes on the site's own Slurm. */
export interface SiteCall {
  readonly program: string;
  /** With argv[0]. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}
