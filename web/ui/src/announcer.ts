/**
 * Decides what a screen reader is told. Values change every second and are never spoken by themselves; what is spoken
 * is the loss and return of a line, and alarms.
 */

import type { Contact } from "./feed";
import type { Picture } from "./picture";
import { lineWord } from "./picture";
import { words } from "./words";

interface Before {
  readonly live: boolean;
  readonly alarms: readonly string[];
}

export class Announcer {
  private contact: Contact = "connecting";
  private readonly before = new Map<string, Before>();
  private sentence = "";

  /** Return the sentence that is to stand in the live region now. */
  next(contact: Contact, pictures: readonly Picture[]): string {
    const said = this.ofContact(contact);
    if (contact === "live") said.push(...pictures.flatMap((each) => this.ofBattery(each)));
    if (said.length > 0) this.sentence = said.join(" ");
    return this.sentence;
  }

  private ofContact(contact: Contact): string[] {
    const before = this.contact;
    this.contact = contact;
    if (contact === before || before === "connecting") return [];
    return [contact === "live" ? words.said.back : words.said.lost];
  }

  private ofBattery({ id, name, line, live, reading }: Picture): string[] {
    const before = this.before.get(id);
    const alarms = reading.alarms.map(({ code }) => words.alarms.text(code));
    this.before.set(id, { live, alarms: live ? alarms : before?.alarms ?? [] });
    const said: string[] = [];
    if (before !== undefined && before.live !== live) said.push(words.said.link(name, lineWord(line)));
    if (!live) return said;
    const known = before?.alarms ?? [];
    said.push(...alarms.filter((alarm) => !known.includes(alarm)).map((alarm) => words.said.alarm(name, alarm)));
    if (known.length > 0 && alarms.length === 0) said.push(words.said.noAlarm(name));
    return said;
  }
}
