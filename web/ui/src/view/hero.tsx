/** The battery at a glance: how full, which way the power flows, and the four figures that matter. */

import { brief, difference, fixed, power, withUnit } from "../format";
import type { Picture } from "../picture";
import { direction } from "../picture";
import type { Reading } from "../protocol";
import { words } from "../words";
import { Icon } from "./icons";
import { Value } from "./value";

const RADIUS = 88;
/** The ring is open at the bottom: this part of a full turn is drawn. */
const ARC = 0.78;

export function Hero({ picture }: { picture: Picture }) {
  const { reading } = picture;
  return (
    <section class="card hero" aria-labelledby="battery-name">
      <header>
        <h2 id="battery-name"><bdi>{picture.name}</bdi></h2>
        <When picture={picture} />
      </header>
      <Gauge reading={reading} />
      <Flow reading={reading} />
      <dl class="tiles">
        <Tile label={words.voltage} value={withUnit(reading.voltage, 2, "V")} />
        <Tile label={words.current} value={withUnit(reading.current, 1, "A")} />
        <Tile label={words.temperature} value={temperatureRange(reading)} />
        <Tile label={words.delta} value={difference(reading.cellVoltageDelta)} />
      </dl>
      <Remarks reading={reading} />
    </section>
  );
}

/** What reassures, and what explains why nothing flows. */
function Remarks({ reading: { alarms, alarmsKnown, chargeEnabled, dischargeEnabled } }: { reading: Reading }) {
  if (alarms.length > 0 && chargeEnabled !== false && dischargeEnabled !== false) return null;
  return (
    <ul class="remarks">
      {alarms.length === 0 && (
        <li class={alarmsKnown ? "fine" : ""}>
          <Icon name={alarmsKnown ? "good" : "unknown"} />{alarmsKnown ? words.alarms.none : words.alarms.unknown}
        </li>
      )}
      {chargeEnabled === false && <li><Icon name="blocked" />{words.chargeBlocked}</li>}
      {dischargeEnabled === false && <li><Icon name="blocked" />{words.dischargeBlocked}</li>}
    </ul>
  );
}

/** Says of values that are not live from when they are. */
function When({ picture: { live, age, moment } }: { picture: Picture }) {
  if (live) return null;
  return (
    <p class="when">
      {age === null || moment === null ? words.noValues : words.lastValues(moment, words.age(age))}
    </p>
  );
}

function Gauge({ reading: { soc, remainingCapacity, fullCapacity } }: { reading: Reading }) {
  const shown = soc === null ? null : Math.min(100, Math.max(0, soc));
  const meaning = shown === null
    ? { role: "img" as const, "aria-label": `${words.soc}: ${words.unknown}` }
    : {
      role: "meter" as const, "aria-label": words.soc, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-valuenow": shown, "aria-valuetext": `${brief(shown)} %`,
    };
  return (
    <div class="gauge" {...meaning}>
      <svg viewBox="0 0 200 180" aria-hidden="true" focusable="false">
        <Arc class="track" part={1} />
        {shown !== null && shown > 0 && <Arc class="fill" part={shown / 100} />}
      </svg>
      <div class="reading">
        <span class="number" data-value="soc">
          {shown === null ? words.dash : <>{brief(shown)}<small>%</small></>}
        </span>
        <span class="label">
          {remainingCapacity !== null && fullCapacity !== null
            ? words.ofCapacity(fixed(remainingCapacity, 0), withUnit(fullCapacity, 0, "Ah") ?? "")
            : words.soc}
        </span>
      </div>
    </div>
  );
}

function Arc({ class: name, part }: { class: string; part: number }) {
  const turn = (1 - ARC) * 180;
  return (
    <circle
      class={name} cx="100" cy="100" r={RADIUS} pathLength={100} fill="none"
      stroke-dasharray={`${part * ARC * 100} 100`} transform={`rotate(${90 + turn} 100 100)`}
    />
  );
}

function Flow({ reading }: { reading: Reading }) {
  const way = direction(reading);
  return (
    <div class={`flow ${way}`}>
      <span class="badge"><Icon name={way} /></span>
      <p>
        <span class="word">{words.flow[way]}</span>
        <strong data-value="power">
          <Value of={reading.power === null ? null : power(Math.abs(reading.power))} />
        </strong>
      </p>
    </div>
  );
}

function Tile({ label, value }: { label: string; value: string | null }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd><Value of={value} /></dd>
    </div>
  );
}

function temperatureRange({ temperatures }: Reading): string | null {
  const known = temperatures.flatMap(({ value }) => (value === null ? [] : [value]));
  if (known.length === 0) return null;
  const [lowest, highest] = [fixed(Math.min(...known), 0), fixed(Math.max(...known), 0)];
  return `${lowest === highest ? lowest : words.range(lowest, highest)}\u00a0°C`;
}
