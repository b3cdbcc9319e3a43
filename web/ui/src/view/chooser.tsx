/** The batteries to choose from, each with what matters most. Links, so that a battery can be bookmarked. */

import { brief, power } from "../format";
import type { Picture } from "../picture";
import { direction, lineWord } from "../picture";
import { words } from "../words";
import { lineIcon } from "./cards";
import { Icon } from "./icons";
import { Value } from "./value";

export function Chooser({ pictures, chosen }: { pictures: readonly Picture[]; chosen: Picture | null }) {
  return (
    <nav class="chooser" aria-label={words.batteries}>
      {pictures.map((picture) => <Choice key={picture.id} picture={picture} isChosen={picture.id === chosen?.id} />)}
    </nav>
  );
}

function Choice({ picture: { id, name, reading, line, live }, isChosen }: { picture: Picture; isChosen: boolean }) {
  const way = direction(reading);
  const flow = reading.power === null ? words.flow[way] : `${words.flow[way]} ${power(Math.abs(reading.power))}`;
  const current = isChosen ? { "aria-current": "true" as const } : {};
  return (
    <a href={`#${encodeURIComponent(id)}`} class={live ? "" : "old"} {...current}>
      <span class="name"><bdi>{name}</bdi></span>
      <strong><Value of={reading.soc === null ? null : `${brief(reading.soc)}\u00a0%`} /></strong>
      <span class="state">
        <Icon name={live ? way : lineIcon(line)} />
        <span>{live ? flow : lineWord(line)}</span>
      </span>
    </a>
  );
}
