/** A value as text; an unknown one is a dash that is read out as "unknown". */

import { words } from "../words";

export function Value({ of }: { of: string | null }) {
  if (of !== null) return <>{of}</>;
  return (
    <>
      <span aria-hidden="true">{words.dash}</span>
      <span class="spoken">{words.unknown}</span>
    </>
  );
}

export interface Row {
  readonly label: string;
  readonly value: string | null;
}

/** Labels and values below each other. */
export function Rows({ rows }: { rows: readonly Row[] }) {
  return (
    <dl class="rows">
      {rows.map(({ label, value }, index) => (
        <div key={index}>
          <dt>{label}</dt>
          <dd><Value of={value} /></dd>
        </div>
      ))}
    </dl>
  );
}
