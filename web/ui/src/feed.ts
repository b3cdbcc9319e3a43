/**
 * The line to the bridge: server-sent events, begun anew when they break, and a poll every few seconds while they
 * cannot be had. Says how the line is doing, so that nothing old is shown as live. Knows nothing of the page.
 */

import type { Clock } from "./clock";
import type { Battery, Health, Hello } from "./protocol";
import { readBatteries, readBattery, readHealth, readHello } from "./protocol";

/** `connecting`: nothing heard yet; `lost`: the bridge cannot be reached; `refused`: it does not let this page read. */
export type Contact = "connecting" | "live" | "lost" | "refused";

export interface Listener {
  hello(hello: Hello): void;
  /** All batteries that there are, as the bridge knew them at the moment `asked`; others have gone. */
  batteries(batteries: readonly Battery[], asked: number): void;
  battery(battery: Battery, heard: number): void;
  health(health: Health): void;
  contact(contact: Contact): void;
}

const FIRST_POLL = 1.5;
const POLL_INTERVAL = 5;
const POLL_TIMEOUT = 3;
/** The bridge sends its health about every 5 s: a stream that is silent for so long is begun anew. */
const STREAM_SILENCE = 7;
/** Seconds without a word from the bridge after which it counts as lost: if a poll fails too, and in any case. */
const LOST_AFTER_POLL = 3;
const LOST_AFTER = 12;

export class Feed {
  private stream: EventSource | null = null;
  private streamBegan = 0;
  private streaming = false;
  private heardAt: number;
  private polledAt: number;
  private polling = false;
  private pollFailed = false;
  private refused = false;
  private contact: Contact = "connecting";

  constructor(private readonly listener: Listener, private readonly clock: Clock) {
    this.heardAt = clock.now();
    this.polledAt = this.heardAt + FIRST_POLL - POLL_INTERVAL;
  }

  /** Begin to listen; `tick` has to be called about once a second from then on. */
  start(): void {
    this.openStream();
    addEventListener("pagehide", () => this.closeStream());
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.openStream();
    });
  }

  tick(): void {
    const now = this.clock.now();
    if (now - Math.max(this.heardAt, this.streamBegan) > STREAM_SILENCE || this.streamGaveUp(now)) this.openStream();
    if (!this.streaming && now - this.polledAt >= POLL_INTERVAL) void this.poll();
    this.report();
  }

  private streamGaveUp(now: number): boolean {
    return this.stream?.readyState === EventSource.CLOSED && now - this.streamBegan > POLL_INTERVAL;
  }

  private openStream(): void {
    this.closeStream();
    this.streamBegan = this.clock.now();
    const stream = new EventSource("api/events");
    const on = (name: string, take: (document: unknown) => void): void =>
      stream.addEventListener(name, (event) => {
        if (stream !== this.stream) return;
        this.streaming = true;
        this.heard();
        const document = parse((event as MessageEvent<string>).data);
        if (document !== undefined) take(document);
      });
    on("hello", (document) => {
      this.listener.hello(readHello(document));
      void this.poll(); // only the list tells which batteries there are no more
    });
    on("state", (document) => {
      const battery = readBattery(document);
      if (battery !== null) this.listener.battery(battery, this.heardAt);
    });
    on("health", (document) => this.listener.health(readHealth(document)));
    stream.onerror = () => {
      if (stream !== this.stream) return;
      this.streaming = false;
      if (this.clock.now() - this.polledAt > 1) void this.poll();
    };
    this.stream = stream;
  }

  private closeStream(): void {
    this.stream?.close();
    this.stream = null;
    this.streaming = false;
  }

  private async poll(): Promise<void> {
    if (this.polling) return;
    this.polling = true;
    const asked = this.clock.now();
    this.polledAt = asked;
    try {
      const [batteries, health] = await Promise.all([fetchJson("api/batteries"), fetchJson("api/health")]);
      const known = readBatteries(batteries);
      if (known === null) throw new Error("not a list of batteries");
      this.heard();
      this.listener.batteries(known, asked);
      this.listener.health(readHealth(health));
      this.listener.hello(readHello(health));
    } catch (error) {
      this.pollFailed = true;
      this.refused = error instanceof Refused;
    } finally {
      this.polling = false;
      this.report();
    }
  }

  private heard(): void {
    this.heardAt = this.clock.now();
    this.pollFailed = false;
    this.refused = false;
    this.report("live");
  }

  private report(contact: Contact = this.judge()): void {
    if (contact === this.contact) return;
    this.contact = contact;
    this.listener.contact(contact);
  }

  private judge(): Contact {
    const silence = this.clock.now() - this.heardAt;
    if (this.refused) return "refused";
    if (silence > LOST_AFTER || (!this.streaming && this.pollFailed && silence > LOST_AFTER_POLL)) return "lost";
    return this.contact;
  }
}

class Refused extends Error {}

async function fetchJson(url: string): Promise<unknown> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), POLL_TIMEOUT * 1000);
  try {
    const response = await fetch(url, { cache: "no-store", signal: abort.signal });
    if (response.status === 401 || response.status === 403) throw new Refused();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.json();
  } finally {
    clearTimeout(timer);
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
