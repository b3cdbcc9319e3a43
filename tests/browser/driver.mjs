// Drives Debian's Chromium for the tests: one JSON request per line on stdin, one JSON reply per line on stdout.
// Knows nothing of the pages under test. Ends with its stdin.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

const browser = await chromium.launch({
  executablePath: process.argv[2], headless: true, chromiumSandbox: false, args: ARGUMENTS,
});
const pages = new Map();
let opened = 0;

const methods = {
  async open({ width, height, dark, scripts, locale, zone, calm }) {
    const context = await browser.newContext({
      viewport: { width, height }, deviceScaleFactor: 2, colorScheme: dark ? "dark" : "light",
      javaScriptEnabled: scripts, locale, timezoneId: zone, reducedMotion: calm ? "reduce" : "no-preference",
    });
    const page = await context.newPage();
    const seen = { errors: [], requests: [], bytes: 0 };
    page.on("console", (message) => {
      const type = message.type();
      if (type === "error" || type === "warning") seen.errors.push(`console ${type}: ${message.text()}`);
    });
    page.on("pageerror", (error) => seen.errors.push(`uncaught: ${error}`));
    page.on("request", (request) => seen.requests.push(request.url()));
    const wire = await context.newCDPSession(page);
    await wire.send("Network.enable");
    wire.on("Network.loadingFinished", ({ encodedDataLength }) => { seen.bytes += encodedDataLength; });
    pages.set(++opened, { context, page, seen });
    return opened;
  },
  async close({ page }) {
    await pages.get(page).context.close();
    pages.delete(page);
  },
  goto: ({ page, url }) => pages.get(page).page.goto(url, { waitUntil: "load" }).then(() => null),
  reload: ({ page }) => pages.get(page).page.reload({ waitUntil: "load" }).then(() => null),
  async evaluate({ page, expression }) {
    for (;;) {
      try {
        return await pages.get(page).page.evaluate(expression);
      } catch (error) {
        if (!String(error).includes("context was destroyed")) throw error; // else the page has just been reloaded
      }
    }
  },
  click: ({ page, selector }) => pages.get(page).page.click(selector).then(() => null),
  press: ({ page, key }) => pages.get(page).page.keyboard.press(key).then(() => null),
  async emulate({ page, width, height, dark }) {
    const tab = pages.get(page).page;
    await tab.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await tab.setViewportSize({ width, height });
    return null;
  },
  screenshot: ({ page, path }) => pages.get(page).page.screenshot({ path, fullPage: true }).then(() => null),
  seen: ({ page }) => pages.get(page).seen,
  async axe({ page }) {
    // Through the debugger, not as a script element: the page's own security policy stays in force
    await pages.get(page).page.evaluate(AXE);
    const { violations } = await pages.get(page).page.evaluate("axe.run()");
    return violations.map(
      ({ id, impact, help, nodes }) => `${impact}: ${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`,
    );
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, ...parameters } = JSON.parse(line);
  let reply;
  try {
    reply = { value: (await methods[method](parameters)) ?? null };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await browser.close();
