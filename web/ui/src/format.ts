/** Numbers and times as text, in the manner of the browser's language. Null becomes null: views show it as unknown. */

const NO_BREAK = "\u00a0";

function decimals(least: number, most: number): Intl.NumberFormat {
  return new Intl.NumberFormat(undefined, { minimumFractionDigits: least, maximumFractionDigits: most });
}

const FIXED = [0, 1, 2, 3].map((digits) => decimals(digits, digits));
const UP_TO_ONE = decimals(0, 1);
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE_AND_TIME = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});

/** Return `value` with exactly `digits` decimals (0–3) and a real minus sign. */
export function fixed(value: number, digits: number): string {
  return sign((FIXED[digits] ?? UP_TO_ONE).format(unsignedZero(value, digits)));
}

/** Return `value` with one decimal where it has one. */
export function brief(value: number): string {
  return sign(UP_TO_ONE.format(unsignedZero(value, 1)));
}

export function withUnit(value: number | null, digits: number, unit: string): string | null {
  return value === null ? null : `${fixed(value, digits)}${NO_BREAK}${unit}`;
}

/** Return a power as a person says it: `8.4 W`, `654 W`, `12.3 kW`. */
export function power(watts: number): string {
  const size = Math.abs(watts);
  if (size >= 10_000) return `${fixed(watts / 1000, 1)}${NO_BREAK}kW`;
  return size < 9.95 ? `${brief(watts)}${NO_BREAK}W` : `${fixed(watts, 0)}${NO_BREAK}W`;
}

/** Return a voltage difference: `17 mV`, `1.25 V`. */
export function difference(volts: number | null): string | null {
  if (volts === null) return null;
  return volts < 1 ? withUnit(volts * 1000, 0, "mV") : withUnit(volts, 2, "V");
}

export function bytes(value: number | null): string | null {
  if (value === null) return null;
  return value >= 1e9 ? withUnit(value / 1e9, 1, "GB") : withUnit(value / 1e6, 0, "MB");
}

/** Return the time of day, with the date where it is not today's. */
export function timeOfDay(moment: Date, today: Date = new Date()): string {
  return (moment.toDateString() === today.toDateString() ? TIME : DATE_AND_TIME).format(moment);
}

function sign(text: string): string {
  return text.replace("-", "\u2212");
}

/** Return `value`, or 0 where it would be printed as a negative zero. */
function unsignedZero(value: number, digits: number): number {
  return Math.abs(value) < 0.5 / 10 ** digits ? 0 : value;
}
