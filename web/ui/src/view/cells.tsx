/** The cells as bars on one common, stated scale; lowest, highest and balancing are marked by icon and words. */

import { fixed, withUnit } from "../format";
import type { Reading } from "../protocol";
import type { Scale } from "../scale";
import { cellScale, share } from "../scale";
import { words } from "../words";
import type { IconName } from "./icons";
import { Icon } from "./icons";
import { Value } from "./value";

interface Mark {
  readonly icon: IconName;
  readonly word: string;
}

/** The scale last drawn for each battery, so that it does not jump about. */
const scales = new Map<string, Scale>();

export function Cells({ battery, reading }: { battery: string; reading: Reading }) {
  const known = reading.cellVoltages.filter((voltage): voltage is number => voltage !== null);
  if (known.length === 0) {
    return (
      <section class="card cells" aria-labelledby="cells">
        <h2 id="cells">{words.cells.headline}</h2>
        <p class="muted">{words.cells.unknown}</p>
      </section>
    );
  }
  const scale = cellScale(Math.min(...known), Math.max(...known), scales.get(battery) ?? null);
  scales.set(battery, scale);
  return (
    <section class="card cells" aria-labelledby="cells">
      <h2 id="cells">{words.cells.headline}</h2>
      <Summary reading={reading} />
      <ol>
        {reading.cellVoltages.map((voltage, index) => (
          <Cell key={index} number={index + 1} voltage={voltage} scale={scale} marks={marks(reading, index + 1)} />
        ))}
      </ol>
      <p class="muted scale">
        {scale.from > 0
          ? words.cells.scale(withUnit(scale.from, 2, "V") ?? "", withUnit(scale.to, 2, "V") ?? "")
          : words.cells.scaleFromZero(withUnit(scale.to, 2, "V") ?? "")}
      </p>
    </section>
  );
}

function Summary({ reading }: { reading: Reading }) {
  const volts = (value: number | null): string | null => withUnit(value, 3, "V");
  const which = (number: number | null): string | null => (number === null ? null : words.cells.cell(number));
  const balancing = reading.balancingCells.length > 0
    ? reading.balancingCells.join(", ")
    : reading.balancing === null ? null : reading.balancing ? words.cells.isBalancing : words.cells.noBalancing;
  const { lowest, highest, balancing: label } = words.cells;
  return (
    <dl class="legend">
      <Entry icon="lowest" label={lowest} value={volts(reading.cellVoltageMin)} note={which(reading.cellMinNumber)} />
      <Entry icon="highest" label={highest} value={volts(reading.cellVoltageMax)} note={which(reading.cellMaxNumber)} />
      <Entry icon="balancing" label={label} value={balancing} note={null} />
    </dl>
  );
}

function Entry({ icon, label, value, note }: {
  icon: IconName; label: string; value: string | null; note: string | null;
}) {
  return (
    <div>
      <dt><Icon name={icon} />{label}</dt>
      <dd><Value of={value} />{note !== null && <span class="muted">{note}</span>}</dd>
    </div>
  );
}

function Cell({ number, voltage, scale, marks }: {
  number: number; voltage: number | null; scale: Scale; marks: readonly Mark[];
}) {
  const classes = ["cell", ...marks.map(({ icon }) => icon)].join(" ");
  const name = words.cells.cell(number);
  if (voltage === null) {
    return (
      <li class={classes}>
        <span class="number"><span class="spoken">{name}</span><span aria-hidden="true">{number}</span></span>
        <span class="volts"><Value of={null} /></span>
        <span class="bar" />
      </li>
    );
  }
  const said = [`${fixed(voltage, 3)} V`, ...marks.map(({ word }) => word)].join(", ");
  return (
    <li>
      <div
        class={classes} role="meter" aria-label={name} aria-valuemin={scale.from} aria-valuemax={scale.to}
        aria-valuenow={voltage} aria-valuetext={said} title={`${name}: ${said}`}
      >
        <span class="number">{number}{marks.map(({ icon }) => <Icon key={icon} name={icon} />)}</span>
        <span class="volts">{fixed(voltage, 3)}</span>
        <span class="bar"><span style={{ "--share": share(scale, voltage).toFixed(4) }} /></span>
      </div>
    </li>
  );
}

function marks(reading: Reading, number: number): Mark[] {
  const found: Mark[] = [];
  const apart = reading.cellMinNumber !== reading.cellMaxNumber;
  if (apart && reading.cellMinNumber === number) found.push({ icon: "lowest", word: words.cells.lowestMark });
  if (apart && reading.cellMaxNumber === number) found.push({ icon: "highest", word: words.cells.highestMark });
  if (reading.balancingCells.includes(number)) found.push({ icon: "balancing", word: words.cells.balancingMark });
  return found;
}

