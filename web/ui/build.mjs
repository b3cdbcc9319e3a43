// Builds the pages into web/static/: hashed assets, and the manifest from which the server learns their names.
import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  entryNames: "[name]-[hash]",
  outdir: target,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2019"],
  charset: "utf8",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
  write: false,
});

const assets = result.outputFiles
  .map((file) => ({ name: basename(file.path), contents: file.contents }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));
const asset = (extension) => {
  const found = assets.filter(({ name }) => name.endsWith(extension));
  if (found.length !== 1) throw new Error(`expected one ${extension} file, got ${found.length}`);
  return found[0].name;
};
const hash = createHash("sha256");
for (const { name, contents } of assets) hash.update(name).update("\0").update(contents).update("\0");
const manifest = { build: hash.digest("hex").slice(0, 12), js: asset(".js"), css: asset(".css") };

// The manifest changes last and at once, so that a running server never reads a name that is not there yet.
await mkdir(target, { recursive: true });
for (const { name, contents } of assets) await writeFile(join(target, name), contents);
const draft = join(target, `.manifest-${process.pid}`);
await writeFile(draft, `${JSON.stringify(manifest)}\n`);
await rename(draft, join(target, "manifest.json"));
const kept = new Set([...assets.map(({ name }) => name), "manifest.json"]);
for (const name of await readdir(target)) if (!kept.has(name)) await rm(join(target, name), { recursive: true });
