/** What stands in the place of a battery while there is none to show. */

import { words } from "../words";
import { Logo } from "./icons";

export function Waiting() {
  return (
    <section class="card empty" aria-labelledby="waiting">
      <h2 id="waiting">{words.connecting.headline}</h2>
      <p class="muted">{words.connecting.advice}</p>
    </section>
  );
}

export function NoBattery() {
  const { headline, text, find, command, write, example, restart } = words.none;
  return (
    <section class="card empty" aria-labelledby="none">
      <Logo />
      <h2 id="none">{headline}</h2>
      <p class="muted">{text}</p>
      <ol>
        <li>{find} <code>{command}</code></li>
        <li>{write}<pre>{example}</pre></li>
        <li>{restart}</li>
      </ol>
    </section>
  );
}
