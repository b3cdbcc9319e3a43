/**
 * Time for ages: seconds that never go back and that count on while the device sleeps. The browser's own monotonic
 * clock stands still during sleep on some systems, and hours-old values would look seconds old after waking up.
 */

/** The wall clock has to gain this much on the monotonic one, in s, before that counts as sleep. */
const SLEEP = 2;

export class Clock {
  private slept = 0;
  private lead: number | null = null;

  constructor(
    private readonly monotonic: () => number = () => performance.now() / 1000,
    private readonly wall: () => number = () => Date.now() / 1000,
  ) {}

  now(): number {
    const monotonic = this.monotonic();
    const lead = this.wall() - monotonic;
    if (this.lead !== null && lead - this.lead > SLEEP) this.slept += lead - this.lead;
    this.lead = lead;
    return monotonic + this.slept;
  }
}
