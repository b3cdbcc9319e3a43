/** Every word and sentence of the page, in one place, so that another language is another such object. */

import { timeOfDay } from "./format";
import type { LinkState } from "./protocol";

export interface LinkWords {
  /** For the chip in the header. */
  readonly short: string;
  readonly headline: string;
  /** What it means and what to do, where the bridge gives no advice of its own. */
  readonly advice: string;
}

const link: Readonly<Record<LinkState, LinkWords>> = {
  starting: {
    short: "Starting",
    headline: "Waiting for the battery",
    advice: "The bridge has just begun to ask. The first values usually arrive within a few seconds.",
  },
  ok: { short: "Live", headline: "Live", advice: "" },
  late: { short: "Slow", headline: "The battery answers slowly", advice: "" },
  asleep: {
    short: "Asleep",
    headline: "The battery is asleep",
    advice: "A sleeping BMS answers nothing. Wake it with a load, a charger or its button, and raise its sleep time.",
  },
  silent: {
    short: "No answer",
    headline: "The battery does not answer",
    advice: "It may be asleep, or RX and TX (or A and B) are swapped or not connected.",
  },
  noisy: {
    short: "Unreadable",
    headline: "The answers cannot be read",
    advice: "Bytes arrive but make no sense: check the wiring, the signal level and the speed of the line.",
  },
  stale: {
    short: "Not believable",
    headline: "The answers are not believable",
    advice: "Every answer was refused as implausible. Check the cable and keep it away from the battery's own cables.",
  },
  unplugged: {
    short: "No port",
    headline: "The port cannot be opened",
    advice: "Plug the USB adapter in again, or check the name of the port.",
  },
  updating: {
    short: "Updating",
    headline: "Firmware is being updated",
    advice: "Values return when the update is done. Do not switch anything off.",
  },
  unknown: {
    short: "Not live",
    headline: "The battery is not live",
    advice: "The bridge reports a state that this page does not know. Reload the page.",
  },
};

const alarms: Readonly<Record<string, string>> = {
  cell_overvoltage: "Cell voltage too high",
  cell_undervoltage: "Cell voltage too low",
  pack_overvoltage: "Battery voltage too high",
  pack_undervoltage: "Battery voltage too low",
  charge_overcurrent: "Charging current too high",
  discharge_overcurrent: "Discharging current too high",
  short_circuit: "Short circuit",
  charge_overtemperature: "Too hot to charge",
  charge_undertemperature: "Too cold to charge",
  discharge_overtemperature: "Too hot to discharge",
  discharge_undertemperature: "Too cold to discharge",
  mosfet_overtemperature: "Power switch (MOSFET) too hot",
  soc_low: "State of charge low",
  soc_high: "State of charge high",
  cell_imbalance: "Cells too far apart",
  temperature_imbalance: "Temperatures too far apart",
  communication_failure: "Communication inside the battery failed",
  hardware_failure: "Hardware failure",
  charge_mosfet_failure: "Charging switch (MOSFET) failed",
  discharge_mosfet_failure: "Discharging switch (MOSFET) failed",
};

const alarmLevels: Readonly<Record<string, string>> = {
  warning: "Warning", protection: "Protection active", fault: "Fault",
};

const services: Readonly<Record<string, string>> = {
  mqtt: "MQTT", broker: "MQTT broker", web: "Web page", mdns: "Name on the network", emulator: "Emulator",
};

const serviceStates: Readonly<Record<string, string>> = {
  starting: "starting", running: "running", waiting: "waiting", stopped: "stopped", off: "off",
};

const bridgeStates: Readonly<Record<string, string>> = {
  ok: "Running well", warn: "Needs attention", bad: "In trouble",
};

/** Return a code such as `cell_overvoltage` as words, for codes that are not in the catalogue. */
function spelled(code: string): string {
  const text = code.replace(/_/g, " ").trim();
  return text === "" ? "Unknown" : text.charAt(0).toUpperCase() + text.slice(1);
}

export const words = {
  product: "SmartBMS Bridge",
  unknown: "unknown",
  dash: "\u2013",

  title: (status: string, bridge: string): string => `${status} \u00b7 ${bridge}`,

  link,
  age: (seconds: number): string => {
    if (seconds < 1.5) return "just now";
    if (seconds < 90) return `${Math.round(seconds)} s ago`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
    return `${Math.round(seconds / 86_400)} days ago`;
  },
  duration: (seconds: number): string => {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
    return `${Math.round(seconds / 86_400)} days`;
  },
  lastValues: (moment: Date, age: string): string => `Last values from ${timeOfDay(moment)} (${age})`,
  noValues: "No values yet",

  lost: {
    short: "Offline",
    headline: (moment: Date | null): string =>
      moment === null
        ? "Connection to the bridge lost"
        : `Connection to the bridge lost, last value at ${timeOfDay(moment)}`,
    advice:
      "This page keeps trying by itself. Check that the bridge has power and that this device is in the same network.",
  },
  refused: {
    short: "No access",
    headline: "The bridge does not let this device read",
    advice: "Values are shown to devices in the home network only. Join it, then reload the page.",
  },
  connecting: { headline: "Connecting to the bridge", advice: "The first values usually arrive within a second." },
  unreachable: "The bridge cannot be reached",
  newVersion: "The bridge was updated. Reload this page to see its newest version.",
  reload: "Reload",

  emulated: {
    headline: "Emulated battery",
    text: "These values are made up, so that you can look around without a battery.",
  },

  none: {
    headline: "No battery yet",
    text: "Connect a battery\u2019s serial port to this machine, find it, and name its port in the configuration.",
    find: "Find the port:",
    write: "Add it to bridge.toml, with the port that was found:",
    restart: "Start the bridge again. This page shows the battery as soon as it answers.",
    command: "smartbms detect",
    example: '[[battery]]\nid = "main"\nname = "Battery"\nport = "/dev/ttyUSB0"',
  },

  batteries: "Batteries",
  soc: "State of charge",
  ofCapacity: (remaining: string, full: string): string => `${remaining} of ${full}`,
  flow: {
    charging: "Charging",
    discharging: "Discharging",
    resting: "Resting",
    unknown: "Power unknown",
  },
  chargeBlocked: "Charging is switched off",
  dischargeBlocked: "Discharging is switched off",
  range: (lowest: string, highest: string): string => `${lowest} to ${highest}`,
  voltage: "Voltage",
  current: "Current",
  temperature: "Temperature",
  temperatures: "Temperatures",
  delta: "Cell difference",

  cells: {
    headline: "Cells",
    lowest: "Lowest",
    highest: "Highest",
    balancing: "Balancing",
    noBalancing: "none",
    isBalancing: "active",
    cell: (number: number): string => `Cell ${number}`,
    scale: (from: string, to: string): string => `Bars run from ${from} to ${to}, not from zero.`,
    scaleFromZero: (to: string): string => `Bars run from 0 to ${to}.`,
    unknown: "The battery has not told its cell voltages.",
    lowestMark: "lowest",
    highestMark: "highest",
    balancingMark: "balancing",
  },

  alarms: {
    headline: "Alarms",
    none: "No alarms",
    unknown: "Alarms unknown",
    text: (code: string): string => alarms[code] ?? spelled(code),
    level: (level: string): string => alarmLevels[level] ?? spelled(level),
    cell: (number: number): string => `cell ${number}`,
    lastHeard: (level: string): string => `${level}, when last heard`,
  },

  sensor: (name: string): string => {
    const [, kind, number] = /^(cell|sensor)_(\d+)$/.exec(name) ?? [];
    if (kind === "cell") return `Cells, sensor ${number}`;
    if (kind === "sensor") return `Sensor ${number}`;
    const known: Readonly<Record<string, string>> = {
      mosfet: "Power switch (MOSFET)", balancer: "Balancer", ambient: "Surroundings",
    };
    return known[name] ?? spelled(name);
  },

  switches: "Switches",
  details: {
    headline: "More about this battery",
    charge: "Charging",
    discharge: "Discharging",
    allowed: "allowed",
    blocked: "switched off",
    remaining: "Remaining",
    full: "Full capacity",
    health: "State of health",
    cycles: "Charge cycles",
    cellCount: "Cells in series",
    device: (key: string): string => ({ manufacturer: "Manufacturer", model: "Model", serial: "Serial number",
      hardware: "Hardware", firmware: "Firmware" } as Readonly<Record<string, string>>)[key] ?? spelled(key),
  },

  bridge: {
    headline: "This bridge",
    status: (status: string): string => bridgeStates[status] ?? "State unknown",
    badHeadline: "The bridge is in trouble",
    badAdvice: "Look at the details of the bridge at the end of this page.",
    more: "Details",
    reaction: "Reaction time",
    ownLoad: "Processor, bridge",
    load: "Processor, in all",
    memory: "Memory",
    disk: "Free storage",
    temperature: "Processor temperature",
    supply: "Power supply",
    supplyOk: "fine",
    supplyLow: "voltage too low",
    uptime: "Running for",
    reason: "Last start",
    service: (name: string): string => services[name] ?? spelled(name),
    serviceState: (state: string): string => serviceStates[state] ?? state,
  },

  said: {
    lost: "Connection to the bridge lost.",
    back: "Connected to the bridge.",
    link: (battery: string, state: string): string => `${battery}: ${state}.`,
    alarm: (battery: string, alarm: string): string => `${battery}, alarm: ${alarm}.`,
    noAlarm: (battery: string): string => `${battery}: no more alarms.`,
  },

  footer: (version: string): string => `SmartBMS Bridge ${version}`,
} as const;
