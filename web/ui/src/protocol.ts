/**
 * What the bridge tells the page: the documents of the JSON API as types, and the functions that turn received JSON
 * into them. Unknown is null. Whatever does not fit is taken as unknown, so that no document can break the page.
 */

/** The link states of the public interface, and `unknown` for one that a newer bridge may send. */
export const LINK_STATES = [
  "starting", "ok", "late", "asleep", "silent", "noisy", "stale", "unplugged", "updating", "unknown",
] as const;
export type LinkState = (typeof LINK_STATES)[number];

export interface Temperature {
  readonly name: string;
  readonly value: number | null;
}

export interface Alarm {
  readonly code: string;
  readonly level: string;
  readonly cell: number | null;
}

export interface Reading {
  readonly voltage: number | null;
  readonly current: number | null;
  readonly power: number | null;
  readonly soc: number | null;
  readonly soh: number | null;
  readonly remainingCapacity: number | null;
  readonly fullCapacity: number | null;
  readonly cycles: number | null;
  readonly cellCount: number | null;
  readonly cellVoltages: readonly (number | null)[];
  readonly cellMinNumber: number | null;
  readonly cellMaxNumber: number | null;
  readonly cellVoltageMin: number | null;
  readonly cellVoltageMax: number | null;
  readonly cellVoltageDelta: number | null;
  readonly temperatures: readonly Temperature[];
  readonly chargeEnabled: boolean | null;
  readonly dischargeEnabled: boolean | null;
  readonly balancing: boolean | null;
  readonly balancingCells: readonly number[];
  readonly alarms: readonly Alarm[];
  /** Whether the BMS has said which alarms there are: an empty list alone cannot tell. */
  readonly alarmsKnown: boolean;
  readonly device: readonly (readonly [string, string])[];
}

export interface Battery {
  readonly id: string;
  readonly name: string;
  readonly link: LinkState;
  readonly emulated: boolean;
  readonly error: string | null;
  readonly advice: string | null;
  /** Seconds between the last accepted values and the moment at which the bridge sent this. */
  readonly age: number | null;
  readonly now: Reading;
  /** The last accepted values, while the battery cannot be heard. */
  readonly last: Reading | null;
}

export interface Service {
  readonly name: string;
  readonly state: string;
  readonly detail: string | null;
}

export interface Health {
  readonly status: string;
  readonly version: string | null;
  readonly uptime: number | null;
  readonly restartReason: string | null;
  readonly services: readonly Service[];
  readonly advice: readonly string[];
  readonly loopDelay: number | null;
  readonly processCpu: number | null;
  readonly totalCpu: number | null;
  readonly memory: number | null;
  readonly underVoltage: boolean | null;
  readonly boxTemperature: number | null;
  readonly diskFree: number | null;
}

export interface Hello {
  readonly build: string | null;
  readonly version: string | null;
  readonly bridge: string | null;
}

type Json = Readonly<Record<string, unknown>>;

const object = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const number = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;
const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
const flag = (value: unknown): boolean | null => (typeof value === "boolean" ? value : null);
const present = <T>(value: T | null): value is T => value !== null;

function linkState(value: unknown): LinkState {
  return LINK_STATES.find((state) => state === value) ?? "unknown";
}

function reading(json: Json): Reading {
  return {
    voltage: number(json["voltage"]),
    current: number(json["current"]),
    power: number(json["power"]),
    soc: number(json["soc"]),
    soh: number(json["soh"]),
    remainingCapacity: number(json["remaining_capacity"]),
    fullCapacity: number(json["full_capacity"]),
    cycles: number(json["cycles"]),
    cellCount: number(json["cell_count"]),
    cellVoltages: list(json["cell_voltages"]).map(number),
    cellMinNumber: number(json["cell_min_number"]),
    cellMaxNumber: number(json["cell_max_number"]),
    cellVoltageMin: number(json["cell_voltage_min"]),
    cellVoltageMax: number(json["cell_voltage_max"]),
    cellVoltageDelta: number(json["cell_voltage_delta"]),
    temperatures: list(json["temperatures"]).map(object).map((each) => (
      { name: text(each["name"]) ?? "", value: number(each["value"]) }
    )),
    chargeEnabled: flag(json["charge_enabled"]),
    dischargeEnabled: flag(json["discharge_enabled"]),
    balancing: flag(json["balancing"]),
    balancingCells: list(json["balancing_cells"]).map(number).filter(present),
    alarms: list(json["alarms"]).map(object).map((each) => (
      { code: text(each["code"]) ?? "", level: text(each["level"]) ?? "", cell: number(each["cell"]) }
    )),
    alarmsKnown: flag(json["problem"]) !== null,
    device: Object.entries(object(json["device"])).flatMap(([key, value]) => {
      const known = text(value);
      return known === null ? [] : [[key, known] as const];
    }),
  };
}

/** Return the battery in a document of `api/batteries/<id>`, or null where it is none. */
export function readBattery(document: unknown): Battery | null {
  const json = object(document);
  const id = text(json["battery"]);
  if (id === null) return null;
  return {
    id,
    name: text(json["name"]) ?? id,
    link: linkState(json["link"]),
    emulated: json["emulated"] === true,
    error: text(json["error"]),
    advice: text(json["advice"]),
    age: number(json["age"]),
    now: reading(json),
    last: typeof json["last"] === "object" && json["last"] !== null ? reading(object(json["last"])) : null,
  };
}

/** Return the batteries in a document of `api/batteries`, or null where it is none. */
export function readBatteries(document: unknown): readonly Battery[] | null {
  const batteries = object(document)["batteries"];
  return Array.isArray(batteries) ? batteries.map(readBattery).filter(present) : null;
}

export function readHealth(document: unknown): Health {
  const json = object(document);
  const box = object(json["box"]);
  return {
    status: text(json["status"]) ?? "unknown",
    version: text(json["version"]),
    uptime: number(json["uptime"]),
    restartReason: text(json["restart_reason"]),
    services: list(json["services"]).map(object).map((each) => (
      { name: text(each["name"]) ?? "", state: text(each["state"]) ?? "", detail: text(each["detail"]) }
    )),
    advice: list(json["advice"]).map(text).filter(present),
    loopDelay: number(box["loop_delay_p99"]),
    processCpu: number(box["process_cpu"]),
    totalCpu: number(box["total_cpu"]),
    memory: number(box["memory"]),
    underVoltage: flag(box["under_voltage"]),
    boxTemperature: number(box["temperature"]),
    diskFree: number(box["disk_free"]),
  };
}

export function readHello(document: unknown): Hello {
  const json = object(document);
  return { build: text(json["build"]), version: text(json["version"]), bridge: text(json["bridge"]) };
}

/** Whether the values of a battery in this state may be shown as live. */
export function isOnline(link: LinkState): boolean {
  return link === "ok" || link === "late";
}
