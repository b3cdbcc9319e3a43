/**
 * What the page knows: the newest of everything the bridge said, and when it was heard. Changes are told in batches, so
 * that many batteries cost one redraw. Knows nothing of how it is drawn.
 */

import type { Contact, Listener } from "./feed";
import type { Battery, Health, Hello } from "./protocol";

export interface Heard {
  readonly battery: Battery;
  /** The page's clock when the bridge said this. */
  readonly at: number;
}

export interface Known {
  readonly contact: Contact;
  readonly hello: Hello | null;
  readonly health: Health | null;
  /** In the bridge's order; null until the bridge said which there are. */
  readonly batteries: readonly Heard[] | null;
}

/** Seconds between two redraws at most, unless a person did something. */
const BATCH_MS = 100;

export class Store implements Listener {
  known: Known = { contact: "connecting", hello: null, health: null, batteries: null };
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly changed: () => void) {}

  hello(hello: Hello): void {
    this.set({ hello });
  }

  batteries(batteries: readonly Battery[], asked: number): void {
    const before = this.known.batteries ?? [];
    this.set({
      batteries: batteries.map((battery) => {
        const newer = before.find((heard) => heard.battery.id === battery.id && heard.at > asked);
        return newer ?? { battery, at: asked };
      }),
    });
  }

  battery(battery: Battery, at: number): void {
    const before = this.known.batteries ?? [];
    const heard = { battery, at };
    const isKnown = before.some((each) => each.battery.id === battery.id);
    this.set({
      batteries: isKnown ? before.map((each) => (each.battery.id === battery.id ? heard : each)) : [...before, heard],
    });
  }

  health(health: Health): void {
    this.set({ health });
  }

  contact(contact: Contact): void {
    this.set({ contact });
  }

  private set(change: Partial<Known>): void {
    this.known = { ...this.known, ...change };
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.changed();
    }, BATCH_MS);
  }
}
