/**
 * What may be shown of one battery at this moment: which values, whether they are live, how old they are, and in which
 * state the line is. The one place that decides between live and old. Pure.
 */

import type { Contact } from "./feed";
import type { LinkState, Reading } from "./protocol";
import { isOnline } from "./protocol";
import type { Heard } from "./store";
import { words } from "./words";

export type Tone = "good" | "calm" | "warn" | "bad";
/** The state of the line as the page shows it: the battery's, or that of the page's own connection. */
export type Line = LinkState | "lost" | "refused";
export type Direction = "charging" | "discharging" | "resting" | "unknown";

export interface Notice {
  readonly line: Line;
  readonly tone: Tone;
  readonly headline: string;
  readonly advice: string;
  /** The word for it that owners know, such as `bms_data_error`. */
  readonly error: string | null;
}

export interface Picture {
  readonly id: string;
  readonly name: string;
  readonly emulated: boolean;
  readonly reading: Reading;
  readonly live: boolean;
  readonly line: Line;
  readonly tone: Tone;
  /** Seconds since the battery said these values; null where it never did. */
  readonly age: number | null;
  /** The same as time of day, on this device's clock. */
  readonly moment: Date | null;
  readonly notice: Notice | null;
}

/** Amperes below which nothing flows, at the resolution of the usual BMS. */
const RESTING = 0.05;

const TONES: Readonly<Record<Line, Tone>> = {
  ok: "good", late: "warn", starting: "calm", updating: "calm", asleep: "warn", unknown: "warn",
  silent: "bad", noisy: "bad", stale: "bad", unplugged: "bad", lost: "bad", refused: "bad",
};

/** Return what to show of a battery; `now` is the page's clock and `wall` the device's wall clock in ms. */
export function picture({ battery, at }: Heard, contact: Contact, now: number, wall: number): Picture {
  const online = isOnline(battery.link);
  const reached = contact === "live";
  const line: Line = contact === "lost" || contact === "refused" ? contact : battery.link;
  const age = battery.age === null ? null : Math.max(0, battery.age + now - at);
  const moment = age === null ? null : new Date(wall - age * 1000);
  return {
    id: battery.id,
    name: battery.name,
    emulated: battery.emulated,
    reading: online ? battery.now : battery.last ?? battery.now,
    live: online && reached,
    line,
    tone: TONES[line],
    age,
    moment,
    notice: notice(line, battery.advice, battery.error, moment),
  };
}

function notice(line: Line, advice: string | null, error: string | null, moment: Date | null): Notice | null {
  if (line === "ok" || line === "late") return null;
  if (line === "lost") return noticeOf(line, { headline: words.lost.headline(moment), advice: words.lost.advice });
  if (line === "refused") return noticeOf(line, words.refused);
  return noticeOf(line, { headline: words.link[line].headline, advice: advice ?? words.link[line].advice }, error);
}

export function noticeOf(
  line: Line, { headline, advice }: { headline: string; advice: string }, error: string | null = null,
): Notice {
  return { line, tone: TONES[line], headline, advice, error };
}

export function lineWord(line: Line): string {
  if (line === "lost") return words.lost.short;
  return line === "refused" ? words.refused.short : words.link[line].short;
}

/** Return which way the power flows. */
export function direction({ current, power }: Reading): Direction {
  const flow = current ?? power;
  if (flow === null) return "unknown";
  if (Math.abs(flow) < RESTING) return "resting";
  return flow > 0 ? "charging" : "discharging";
}
