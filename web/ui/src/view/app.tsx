/** The status screen as a whole: header, batteries to choose from, the chosen battery, and the bridge. */

import type { Picture } from "../picture";
import { lineWord, noticeOf } from "../picture";
import type { Health, Reading } from "../protocol";
import type { Known } from "../store";
import { words } from "../words";
import { Alarms, Banner, BridgeCard, BridgeNotice, Facts, lineIcon, NoticeCard, Switches, Temperatures } from "./cards";
import { Cells } from "./cells";
import { Chooser } from "./chooser";
import { Hero } from "./hero";
import { Icon, Logo } from "./icons";
import { NoBattery, Waiting } from "./nothing";

export interface Props {
  readonly known: Known;
  readonly bridge: string;
  readonly pictures: readonly Picture[];
  readonly chosen: Picture | null;
  /** The sentence for screen readers: what has just changed. */
  readonly said: string;
  /** Whether the bridge serves a newer page than this one. */
  readonly isOutdated: boolean;
}

export function App({ known, bridge, pictures, chosen, said, isOutdated }: Props) {
  const isReached = known.contact === "live";
  const health = isReached ? known.health : null;
  const notice = chosen?.notice ?? null;
  return (
    <div class="page">
      <header class="top">
        <Logo />
        <h1><bdi>{bridge}</bdi></h1>
        {chosen !== null && <LineChip picture={chosen} />}
      </header>
      <p class="spoken" role="status">{said}</p>
      <main>
        {isOutdated && <Outdated />}
        {!isReached && notice !== null && <NoticeCard notice={notice} />}
        {health !== null && <BridgeNotice health={health} />}
        {chosen?.emulated === true && <Banner headline={words.emulated.headline} text={words.emulated.text} />}
        {pictures.length > 1 && <Chooser pictures={pictures} chosen={chosen} />}
        {isReached && notice !== null && <NoticeCard notice={notice} />}
        {chosen !== null ? <BatteryView picture={chosen} health={health} /> : <Nothing known={known} health={health} />}
      </main>
      <footer>{words.footer(known.hello?.version ?? known.health?.version ?? "")}</footer>
    </div>
  );
}

function LineChip({ picture: { line, tone, age } }: { picture: Picture }) {
  return (
    <p class={`chip ${tone}`}>
      <Icon name={lineIcon(line)} />
      <span>{lineWord(line)}</span>
      {age !== null && <span class="age">{words.age(age)}</span>}
    </p>
  );
}

function BatteryView({ picture, health }: { picture: Picture; health: Health | null }) {
  const { id, reading, live, age } = picture;
  return (
    <>
      <Alarms reading={reading} live={live} />
      <div class={live ? "battery" : "battery old"}>
        <Hero picture={picture} />
        {age !== null && <Figures battery={id} reading={reading} />}
        {health !== null && <BridgeCard health={health} />}
      </div>
    </>
  );
}

/** What there is to tell beyond the glance, once the battery has said anything. */
function Figures({ battery, reading }: { battery: string; reading: Reading }) {
  return (
    <div class="stack">
      <Cells battery={battery} reading={reading} />
      <div class="columns">
        <div class="stack">
          <Temperatures reading={reading} />
          <Switches reading={reading} />
        </div>
        <Facts reading={reading} />
      </div>
    </div>
  );
}

/** What is shown while no battery is known. */
function Nothing({ known: { contact, batteries }, health }: { known: Known; health: Health | null }) {
  if (contact === "lost" || contact === "refused") {
    const said = contact === "refused" ? words.refused : { headline: words.unreachable, advice: words.lost.advice };
    return <NoticeCard notice={noticeOf(contact, said)} />;
  }
  return (
    <div class="narrow">
      {batteries === null ? <Waiting /> : <NoBattery />}
      {health !== null && <BridgeCard health={health} />}
    </div>
  );
}

function Outdated() {
  return (
    <p class="banner">
      <Icon name="info" />
      <span>{words.newVersion}</span>
      <button type="button" onClick={() => location.reload()}>{words.reload}</button>
    </p>
  );
}
