/** The smaller cards: notices, alarms, temperatures, facts of the battery, and how the bridge itself is doing. */

import { bytes, withUnit } from "../format";
import type { Line, Notice, Tone } from "../picture";
import type { Health, Reading } from "../protocol";
import { words } from "../words";
import type { IconName } from "./icons";
import { Icon } from "./icons";
import type { Row } from "./value";
import { Rows } from "./value";

const LINE_ICONS: Readonly<Partial<Record<Line, IconName>>> = {
  ok: "good", late: "calm", starting: "calm", updating: "calm",
  asleep: "asleep", unplugged: "unplugged", lost: "offline",
};
const LEVEL_TONES: Readonly<Record<string, Tone>> = { warning: "warn", protection: "bad", fault: "bad" };
/** Alarms that are no problem: a full battery is a good thing. */
const GOOD_NEWS: ReadonlySet<string> = new Set(["soc_high"]);
const HEALTH_TONES: Readonly<Record<string, Tone>> = { ok: "good", warn: "warn", bad: "bad" };

export function lineIcon(line: Line): IconName {
  return LINE_ICONS[line] ?? "bad";
}

export function NoticeCard({ notice: { line, tone, headline, advice, error } }: { notice: Notice }) {
  return (
    <section class={`notice ${tone}`} aria-labelledby="notice">
      <Icon name={lineIcon(line)} />
      <div>
        <h2 id="notice">{headline}</h2>
        <p>{advice}</p>
        {error !== null && <code>{error}</code>}
      </div>
    </section>
  );
}

export function Banner({ headline, text }: { headline: string; text: string }) {
  return (
    <p class="banner">
      <Icon name="info" />
      <span><strong>{headline}.</strong> {text}</span>
    </p>
  );
}

export function Alarms({ reading: { alarms }, live }: { reading: Reading; live: boolean }) {
  if (alarms.length === 0) return null;
  return (
    <section class={live ? "alarms" : "alarms old"} aria-labelledby="alarms">
      <h2 id="alarms" class="spoken">{words.alarms.headline}</h2>
      <ul>
        {alarms.map(({ code, level, cell }, index) => {
          const tone = GOOD_NEWS.has(code) ? "calm" : LEVEL_TONES[level] ?? "warn";
          return (
            <li key={index} class={`notice ${tone}`}>
              <Icon name={tone === "calm" ? "info" : tone} />
              <div>
                <strong>{words.alarms.text(code)}{cell !== null && `, ${words.alarms.cell(cell)}`}</strong>
                <p>{live ? words.alarms.level(level) : words.alarms.lastHeard(words.alarms.level(level))}</p>
              </div>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

export function Temperatures({ reading: { temperatures } }: { reading: Reading }) {
  if (temperatures.length === 0) return null;
  const rows = temperatures.map(({ name, value }) => ({ label: words.sensor(name), value: withUnit(value, 1, "°C") }));
  return (
    <section class="card" aria-labelledby="temperatures">
      <h2 id="temperatures">{words.temperatures}</h2>
      <Rows rows={rows} />
    </section>
  );
}

/** Whether the battery lets current in and out. */
export function Switches({ reading: { chargeEnabled, dischargeEnabled } }: { reading: Reading }) {
  const allowed = (flag: boolean | null): string | null =>
    flag === null ? null : flag ? words.details.allowed : words.details.blocked;
  return (
    <section class="card" aria-labelledby="switches">
      <h2 id="switches">{words.switches}</h2>
      <Rows rows={[
        { label: words.details.charge, value: allowed(chargeEnabled) },
        { label: words.details.discharge, value: allowed(dischargeEnabled) },
      ]} />
    </section>
  );
}

export function Facts({ reading }: { reading: Reading }) {
  const count = (value: number | null): string | null => (value === null ? null : String(value));
  const rows: Row[] = [
    { label: words.details.remaining, value: withUnit(reading.remainingCapacity, 1, "Ah") },
    { label: words.details.full, value: withUnit(reading.fullCapacity, 1, "Ah") },
    { label: words.details.health, value: withUnit(reading.soh, 0, "%") },
    { label: words.details.cycles, value: count(reading.cycles) },
    { label: words.details.cellCount, value: count(reading.cellCount) },
    ...reading.device.map(([key, value]) => ({ label: words.details.device(key), value })),
  ];
  return (
    <section class="card" aria-labelledby="facts">
      <h2 id="facts">{words.details.headline}</h2>
      <Rows rows={rows} />
    </section>
  );
}

/** Says at the top of the page that the bridge itself is in trouble. */
export function BridgeNotice({ health: { status, advice } }: { health: Health }) {
  if (status !== "bad") return null;
  return (
    <section class="notice bad" aria-labelledby="trouble">
      <Icon name="bad" />
      <div>
        <h2 id="trouble">{words.bridge.badHeadline}</h2>
        <p>{advice[0] ?? words.bridge.badAdvice}</p>
      </div>
    </section>
  );
}

export function BridgeCard({ health }: { health: Health }) {
  const tone = HEALTH_TONES[health.status] ?? "calm";
  const { underVoltage, loopDelay } = health;
  const supply = underVoltage === null ? null : underVoltage ? words.bridge.supplyLow : words.bridge.supplyOk;
  const delay = loopDelay === null ? null : loopDelay * 1000;
  const rows: Row[] = [
    { label: words.bridge.reaction, value: withUnit(delay, delay !== null && delay < 9.95 ? 1 : 0, "ms") },
    { label: words.bridge.ownLoad, value: withUnit(health.processCpu, 1, "%") },
    { label: words.bridge.load, value: withUnit(health.totalCpu, 0, "%") },
    { label: words.bridge.memory, value: bytes(health.memory) },
    { label: words.bridge.disk, value: bytes(health.diskFree) },
    { label: words.bridge.temperature, value: withUnit(health.boxTemperature, 0, "°C") },
    { label: words.bridge.supply, value: supply },
    { label: words.bridge.uptime, value: health.uptime === null ? null : words.duration(health.uptime) },
    { label: words.bridge.reason, value: health.restartReason },
  ].filter(({ value }) => value !== null);
  return (
    <section class="card bridge" aria-labelledby="bridge">
      <h2 id="bridge">{words.bridge.headline}</h2>
      <p class={`status ${tone}`}><Icon name={tone} />{words.bridge.status(health.status)}</p>
      {health.advice.length > 0 && (
        <ul class="advice">{health.advice.map((advice, index) => <li key={index}>{advice}</li>)}</ul>
      )}
      <details>
        <summary>{words.bridge.more}<Icon name="open" /></summary>
        <Rows rows={rows} />
        <ul class="services">
          {health.services.map(({ name, state, detail }, index) => (
            <li key={index}>
              <strong>{words.bridge.service(name)}</strong> {words.bridge.serviceState(state)}
              {detail !== null && <span class="muted">{detail}</span>}
            </li>
          ))}
        </ul>
      </details>
    </section>
  );
}
