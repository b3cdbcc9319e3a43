/** A page from before an update of the bridge reloads itself: once for each build, so that it never goes in circles. */

const RELOADED_FOR = "smartbms-reloaded-for";

export class Update {
  private judged: string | null = null;
  private due = false;

  constructor(private readonly own: string) {}

  /** Return whether the bridge serves `build`, another one than this page is, although the page was reloaded for it. */
  isDue(build: string | null): boolean {
    if (build !== null && build !== this.judged) {
      this.judged = build;
      this.due = this.own !== "" && build !== this.own && !reloadOnce(build);
    }
    return this.due;
  }
}

/** Reload the page, unless that was done for `build` before; return whether it is being reloaded. */
function reloadOnce(build: string): boolean {
  try {
    if (sessionStorage.getItem(RELOADED_FOR) === build) return false;
    sessionStorage.setItem(RELOADED_FOR, build);
  } catch {
    return false; // without a memory it could reload for ever
  }
  location.reload();
  return true;
}
