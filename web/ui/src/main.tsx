/** Starts the page: joins feed, store and view, and redraws when something is new and every second. */

import "./style.css";
import { render } from "preact";
import { Announcer } from "./announcer";
import { Clock } from "./clock";
import { Feed } from "./feed";
import { brief, power } from "./format";
import type { Picture } from "./picture";
import { direction, lineWord, picture } from "./picture";
import { Store } from "./store";
import { App } from "./view/app";
import { Update } from "./update";
import { words } from "./words";

const page = document.documentElement.dataset;
const clock = new Clock();
const update = new Update(page["build"] ?? "");
const announcer = new Announcer();
const store = new Store(draw);
const feed = new Feed(store, clock);
let isMounted = false;

function draw(): void {
  const root = document.getElementById("app");
  const { known } = store;
  // Until there is something to say, the page that the bridge rendered stays.
  if (root === null || (known.batteries === null && known.contact === "connecting")) return;
  const isOutdated = update.isDue(known.hello?.build ?? null);
  if (!isMounted) root.replaceChildren();
  isMounted = true;

  const now = clock.now();
  const wall = Date.now();
  const bridge = known.hello?.bridge ?? page["bridge"] ?? words.product;
  const pictures = (known.batteries ?? []).map((heard) => picture(heard, known.contact, now, wall));
  const wanted = decodeHash(location.hash);
  const chosen = pictures.find(({ id }) => id === wanted) ?? pictures[0] ?? null;
  const said = announcer.next(known.contact, pictures);
  document.title = words.title(chosen === null ? words.product : summary(chosen), bridge);
  render(
    <App known={known} bridge={bridge} pictures={pictures} chosen={chosen} said={said} isOutdated={isOutdated} />, root,
  );
}

/** Return the battery in as few words as a browser tab has room for. */
function summary({ live, line, reading }: Picture): string {
  if (!live) return lineWord(line);
  const charge = reading.soc === null ? words.dash : `${brief(reading.soc)}\u00a0%`;
  const way = direction(reading);
  const amount = reading.power === null || way === "resting" ? "" : ` ${power(Math.abs(reading.power))}`;
  return `${charge} ${words.flow[way]}${amount}`;
}

function decodeHash(hash: string): string {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return "";
  }
}

addEventListener("hashchange", draw);
setInterval(() => {
  feed.tick();
  draw();
}, 1000);
feed.start();
