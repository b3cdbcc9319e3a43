"""From layers to `Settings`: defaults, bridge.toml, settings.toml, secrets.toml, environment, command line; later wins.

Tables merge by key, batteries by id, and every value remembers where it came from. Pure: texts and mappings in,
a `Configuration` or a `ConfigError` with every problem out; the files are read in `bridge.config.files`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from bridge.config.checks import checked, contradictions, from_text, nearest, remarks, shown
from bridge.config.sections import DEFAULT_BATTERY, SECTIONS, BatterySection, Key, Settings, keys_of
from bridge.config.toml import Toml, parse
from bridge.errors import ConfigError

VARIABLE_PREFIX: Final = "SMARTBMS__"
_MOST_PROBLEMS: Final = 20


class Layer(IntEnum):
    """Where a value may come from; the higher one wins."""

    DEFAULT = 0
    FILE = 1
    """bridge.toml."""
    SETTINGS = 2
    """settings.toml in the data directory: what the pages change."""
    SECRETS = 3
    """secrets.toml in the data directory."""
    ENVIRONMENT = 4
    COMMAND_LINE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was set."""

    layer: Layer
    name: str = "default"
    """File, environment variable or option."""
    line: int | None = None
    note: str | None = None
    """Why, where nobody wrote it."""

    def __str__(self) -> str:
        place = self.name if self.line is None else f"{self.name} line {self.line}"
        return f"{place} ({self.note})" if self.note else place


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class KeyPath:
    """The full name of a key; as text `mqtt.url` or `battery.main.port`."""

    section: str
    battery: str | None = None
    key: str

    def __str__(self) -> str:
        return ".".join(part for part in (self.section, self.battery, self.key) if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of the configuration."""

    layer: Layer
    name: str
    """Its path, as the user knows it."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings in force, where each came from, and what the user should be told."""

    settings: Settings
    origins: Mapping[KeyPath, Origin]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A value as one layer gives it; `fits` is False where it was refused, and reported."""

    value: Any
    origin: Origin
    fits: bool = True


class _Problems:
    """Everything wrong that was found so far."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def add(self, where: object, sentence: str, *, suggestion: str | None = None) -> None:
        """Note one problem; `sentence` may lack its full stop."""
        stop = "" if sentence.endswith(("?", ".")) else "."
        self.found.append(ConfigError(f"{where}: {sentence}{stop}", where=str(where), suggestion=suggestion))

    def report(self) -> None:
        """Raise all of them as one."""
        if not self.found:
            return
        lines = [str(problem) for problem in self.found[:_MOST_PROBLEMS]]
        if len(self.found) > _MOST_PROBLEMS:
            lines.append(f"… and {len(self.found) - _MOST_PROBLEMS} more.")
        first = self.found[0]
        raise ConfigError("\n".join(lines), where=first.where, suggestion=first.suggestion)


_Entries = dict[KeyPath, _Entry]


def resolve(
    documents: Iterable[Document] = (),
    *,
    environ: Mapping[str, str] = MappingProxyType({}),
    overrides: Mapping[str, str] = MappingProxyType({}),
    protocols: Collection[str] | None = None,
) -> Configuration:
    """Merge all layers and check them; raise ConfigError with one sentence a line, one line a problem.

    `overrides` are values of the command line by full name (`web.port`); `protocols` are the names this version speaks.
    """
    problems = _Problems()
    documents = sorted(documents, key=lambda document: document.layer)
    merged: _Entries = {}
    if not any(document.layer is Layer.FILE for document in documents):
        _merge(merged, _default_battery())
    for document in documents:
        _merge(merged, _from_document(document, problems))
    _merge(merged, _from_variables(environ, merged, problems))
    _merge(merged, _from_overrides(overrides, problems))
    _retire_default_battery(merged)
    _require_ports(merged, problems)
    problems.report()
    settings, origins = _build(merged)
    for wrong in contradictions(settings, protocols):
        path = KeyPath(section=wrong.section, battery=wrong.battery, key=wrong.key)
        problems.add(origins[path], f"{path} = {shown(None, merged[path].value)}: {wrong.reason}")
    problems.report()
    return Configuration(settings=settings, origins=origins, warnings=remarks(settings))


def differences(configuration: Configuration) -> Iterator[tuple[KeyPath, Any]]:
    """Give every key whose value is not the default, with the value; of a battery that has any, id and port too."""
    pairs = list(values(configuration.settings))
    changed = [path for path, value in pairs if value != _default(path)]
    batteries = {path.battery for path in changed if path.battery is not None}
    for path, value in pairs:
        if path in changed or (path.battery in batteries and keys_of(path.section)[path.key].is_required):
            yield path, value


def _default(path: KeyPath) -> Any:
    if path.battery == DEFAULT_BATTERY.id:
        return getattr(DEFAULT_BATTERY, path.key)
    return keys_of(path.section)[path.key].default


def values(settings: Settings) -> Iterator[tuple[KeyPath, Any]]:
    """Give every key with its value, in the order of bridge.toml."""
    for section in SECTIONS:
        content = getattr(settings, section)
        for table in content if section == "battery" else (content,):
            battery = table.id if section == "battery" else None
            for key in keys_of(section):
                yield KeyPath(section=section, battery=battery, key=key), getattr(table, key)


def _default_battery() -> _Entries:
    return {
        KeyPath(section="battery", battery=DEFAULT_BATTERY.id, key=key): _Entry(
            value=getattr(DEFAULT_BATTERY, key), origin=Origin(layer=Layer.DEFAULT)
        )
        for key in ("id", "port")
    }


# -- files


def _from_document(document: Document, problems: _Problems) -> _Entries:
    try:
        toml = parse(document.name, document.data)
    except ConfigError as error:
        problems.found.append(error)
        return {}
    return _DocumentReader(document, toml, problems).read()


class _DocumentReader:
    """Reads the entries of one file."""

    def __init__(self, document: Document, toml: Toml, problems: _Problems) -> None:
        self._document = document
        self._toml = toml
        self._problems = problems
        self._entries: _Entries = {}

    def read(self) -> _Entries:
        """Return what the file sets; report what is wrong in it."""
        for section, content in self._toml.table.items():
            if section not in SECTIONS:
                self._refuse_section(section, content)
            elif section == "battery":
                self._read_batteries(content)
            elif isinstance(content, dict):
                self._read_table(section, content)
            else:
                self._problems.add(self._place(section), f"[{section}] is written once, with its keys below it")
        return self._entries

    def _read_batteries(self, content: Any) -> None:
        if not isinstance(content, list) or not all(isinstance(table, dict) for table in content):
            where = self._place("battery")
            self._problems.add(where, "batteries are written [[battery]], with two brackets and id below it")
            return
        for index, table in enumerate(content):
            where = self._place("battery", index)
            battery = table.get("id")
            if battery is None:
                self._problems.add(where, 'this [[battery]] has no id; give it one, such as id = "main"')
            elif KeyPath(section="battery", battery=str(battery), key="id") in self._entries:
                self._problems.add(where, f'the id "{battery}" is used twice; each battery needs its own')
            else:
                self._read_table("battery", table, index, str(battery))

    def _read_table(self, section: str, table: Mapping[str, Any], index: int = 0, battery: str | None = None) -> None:
        for name, value in table.items():
            origin = self._place(section, index, name)
            key = keys_of(section).get(name)
            if key is None:
                _refuse_key(origin, section, name, self._problems)
            elif key.kind == "secret" and self._document.layer is not Layer.SECRETS:
                self._problems.add(
                    origin,
                    f"{section}.{name} does not belong in this file, which others may read; "
                    f"put it below [{section}] into secrets.toml in the data directory",
                )
            else:
                path = KeyPath(section=section, battery=battery, key=name)
                self._entries[path] = _entry(path, key, value, origin, self._problems)

    def _refuse_section(self, name: str, content: object) -> None:
        if isinstance(content, (dict, list)):
            meant = nearest(name, SECTIONS)
            hint = f"did you mean [{meant}]?" if meant else f"known are {_sections(SECTIONS)}"
            self._problems.add(self._place(name), f"[{name}] is no section; {hint}", suggestion=meant)
        else:
            homes = _sections(section for section in SECTIONS if name in keys_of(section))
            hint = f"it belongs below {homes}" if homes else "every key stands below the header of its section"
            self._problems.add(self._place("", 0, name), f"{name} stands outside of any section; {hint}")

    def _place(self, section: str, index: int = 0, key: str = "") -> Origin:
        lines = self._toml.lines
        line = lines.get((section, index, key), lines.get((section, index, "")))
        return Origin(layer=self._document.layer, name=self._document.name, line=line)


def _entry(path: KeyPath, key: Key, value: object, origin: Origin, problems: _Problems) -> _Entry:
    try:
        fitting = checked(path.section, key, value)
    except ValueError as error:
        problems.add(origin, f"{path} = {shown(key, value)}: {error}")
        return _Entry(value=None, origin=origin, fits=False)
    if key.is_path and origin.layer in (Layer.FILE, Layer.SETTINGS, Layer.SECRETS):
        fitting = str(PurePath(origin.name).parent / fitting)
    return _Entry(value=fitting, origin=origin)


def _refuse_key(origin: Origin, section: str, name: str, problems: _Problems) -> None:
    meant = nearest(name, keys_of(section))
    homes = _sections(other for other in SECTIONS if name in keys_of(other))
    if meant is None and homes:
        hint = f"it belongs below {homes}"
    else:
        hint = f"did you mean {meant}?" if meant else f"known are {', '.join(keys_of(section))}"
    problems.add(origin, f"{name} is no key of [{section}]; {hint}", suggestion=meant)


def _sections(names: Iterable[str]) -> str:
    return ", ".join(f"[{name}]" for name in names)


# -- environment and command line


def _from_variables(environ: Mapping[str, str], merged: _Entries, problems: _Problems) -> _Entries:
    """Read `SMARTBMS__SECTION__KEY` and `SMARTBMS__BATTERY__<id>__KEY`; an empty variable counts as unset."""
    entries: _Entries = {}
    for name in sorted(environ):
        if not name.upper().startswith(VARIABLE_PREFIX) or not environ[name].strip():
            continue
        origin = Origin(layer=Layer.ENVIRONMENT, name=f"environment variable {name}")
        section, _, rest = name[len(VARIABLE_PREFIX):].lower().partition("__")
        battery, _, key = rest.rpartition("__")
        path = KeyPath(section=section, battery=_known_id(battery, {**merged, **entries}) if battery else None, key=key)
        if path in entries:
            problems.add(origin, f"{entries[path].origin.name} sets the same key; keep one of them")
            continue
        entries.update(_from_assignment(path, environ[name], origin, problems))
    return entries


def _known_id(name: str, entries: _Entries) -> str:
    """Return the id of the battery meant by `name`, in which a shell could not write a hyphen."""
    known = {path.battery for path in entries if path.battery is not None}
    if name in known:
        return name
    return next((battery for battery in sorted(known) if battery.replace("-", "_") == name), name)


def _from_overrides(overrides: Mapping[str, str], problems: _Problems) -> _Entries:
    entries: _Entries = {}
    for name, text in overrides.items():
        section, _, rest = name.partition(".")
        battery, _, key = rest.rpartition(".")
        path = KeyPath(section=section, battery=battery or None, key=key)
        origin = Origin(layer=Layer.COMMAND_LINE, name="command line")
        entries.update(_from_assignment(path, text, origin, problems))
    return entries


def _from_assignment(path: KeyPath, text: str, origin: Origin, problems: _Problems) -> _Entries:
    """Read one key given by its full name, with its value as text."""
    if path.section not in SECTIONS:
        meant = nearest(path.section, SECTIONS)
        hint = f"did you mean {meant}?" if meant else f"known are {', '.join(SECTIONS)}"
        problems.add(origin, f"{path.section} is no section; {hint}", suggestion=meant)
        return {}
    if (path.section == "battery") != (path.battery is not None):
        form = "BATTERY__<id>__KEY" if path.section == "battery" else f"{path.section.upper()}__KEY"
        problems.add(origin, f"expected {VARIABLE_PREFIX}{form}")
        return {}
    key = keys_of(path.section).get(path.key)
    if key is None or (path.battery is not None and path.key == "id"):
        _refuse_key(origin, path.section, path.key, problems)
        return {}
    entries: _Entries = {}
    if path.battery is not None:
        identity = replace(path, key="id")
        entries[identity] = _entry(identity, keys_of("battery")["id"], path.battery, origin, problems)
    entries[path] = _entry(path, key, from_text(key, text), origin, problems)
    return entries


# -- all layers together


def _merge(merged: _Entries, later: _Entries) -> None:
    """Let `later` win key by key; a battery belongs to the layer that brought it."""
    for path, entry in later.items():
        if path.key != "id" or path not in merged:
            merged[path] = entry


def _retire_default_battery(merged: _Entries) -> None:
    """Switch the emulated battery of the shipped file off once a real one was added without editing that file."""
    port = merged.get(KeyPath(section="battery", battery=DEFAULT_BATTERY.id, key="port"))
    if port is None or port.value != DEFAULT_BATTERY.port:
        return
    switch = KeyPath(section="battery", battery=DEFAULT_BATTERY.id, key="enabled")
    if switch in merged and merged[switch].origin.layer > Layer.FILE:
        return
    for path, entry in merged.items():
        if path.section != "battery" or path.key != "port" or entry.origin.layer <= Layer.FILE or not entry.fits:
            continue
        enabled = merged.get(replace(path, key="enabled"))
        if entry.value.startswith("emulated://") or (enabled is not None and enabled.value is False):
            continue
        note = f'off since battery "{path.battery}" was added'
        merged[switch] = _Entry(value=False, origin=replace(entry.origin, note=note))
        return


def _require_ports(merged: _Entries, problems: _Problems) -> None:
    for path, entry in merged.items():
        if path.section == "battery" and path.key == "id" and replace(path, key="port") not in merged:
            sentence = f'battery "{path.battery}" has no port; say where it is, such as port = "/dev/ttyUSB0"'
            problems.add(entry.origin, sentence)


def _build(merged: _Entries) -> tuple[Settings, dict[KeyPath, Origin]]:
    batteries = dict.fromkeys(path.battery for path in merged if path.battery is not None)
    sections: dict[str, Any] = {
        section: _table(kind, section, None, merged) for section, kind in SECTIONS.items() if section != "battery"
    }
    sections["battery"] = tuple(_table(BatterySection, "battery", battery, merged) for battery in batteries)
    settings = Settings(**sections)
    unset = Origin(layer=Layer.DEFAULT)
    origins = {path: merged[path].origin if path in merged else unset for path, _ in values(settings)}
    return settings, origins


def _table(kind: Any, section: str, battery: str | None, merged: _Entries) -> Any:
    paths = (KeyPath(section=section, battery=battery, key=key) for key in keys_of(section))
    return kind(**{path.key: merged[path].value for path in paths if path in merged})
