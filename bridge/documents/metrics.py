"""The state of every battery and of the bridge in Prometheus' text format.

Pure: the same states at the same moment give the same text. A value that is not known has no sample. Names of
quantities come from `quantities`; every sample of a battery carries its id as the label `battery`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from bridge.battery.model import BatteryState, LinkState
from bridge.battery.quantities import QUANTITIES, Quantity, Shape
from bridge.interfaces import BatteryDescription, Health, Identity, LineStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "smartbms_"
_BATTERY = f"{_PREFIX}battery_"
_ITEM_LABELS: Mapping[str, tuple[str, ...]] = {
    "cell_voltages": ("cell",), "temperatures": ("sensor",), "alarms": ("code", "level", "cell"),
}
"""What tells the members of a list apart, by quantity; lists that are not here are not exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One battery, as it is exported."""

    description: BatteryDescription
    state: BatteryState
    line: LineStatistics | None
    """None while nothing serves its line."""


def metrics_text(batteries: Sequence[Measured], *, health: Health, identity: Identity, now: float) -> bytes:
    """Return the text; `now` is the monotonic moment at which ages are taken."""
    families = (*_bridge(health, identity), *_links(batteries, now), *_quantities(batteries), *_lines(batteries))
    return generate_latest(_Finished(families))


class _Finished(Collector):
    """Hands finished families to the library's writer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _bridge(health: Health, identity: Identity) -> Iterator[Metric]:
    info = GaugeMetricFamily(f"{_PREFIX}info", "The bridge itself", labels=("bridge", "uid", "version"))
    info.add_metric((identity.name, identity.uid, identity.version), 1)
    yield info
    status = GaugeMetricFamily(f"{_PREFIX}health", "Which health the bridge has (1)", labels=("status",))
    for each in ("ok", "warn", "bad"):
        status.add_metric((each,), each == health.status)
    yield status
    running = GaugeMetricFamily(f"{_PREFIX}service_running", "Whether a service runs (1) or not", labels=("service",))
    restarts = CounterMetricFamily(f"{_PREFIX}service_restarts", "Restarts of a service", labels=("service",))
    for service in health.services:
        running.add_metric((service.name,), service.state == "running")
        restarts.add_metric((service.name,), service.restarts)
    yield from (running, restarts)
    box = health.box
    for name, meaning, value in (
        ("uptime_seconds", "Time since the bridge started", health.uptime),
        ("loop_delay_p99_seconds", "How late the event loop ran, 99th percentile of a minute", box.loop_delay_p99),
        ("process_cpu_percent", "Processor use of the bridge, of one core", box.process_cpu),
        ("box_cpu_percent", "Processor use of everything, of all cores", box.total_cpu),
        ("process_memory_bytes", "Resident memory of the bridge", box.memory),
        ("box_temperature_celsius", "Temperature of the processor", box.temperature),
        ("box_disk_free_bytes", "Free space where the data directory is", box.disk_free),
        ("box_under_voltage", "Whether the supply is, or was since boot, too weak", box.under_voltage),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"{_PREFIX}{name}", meaning, value)


def _links(batteries: Sequence[Measured], now: float) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        f"{_BATTERY}info", "A battery, and what its BMS says about itself",
        labels=("battery", "name", "emulated", "manufacturer", "model", "serial", "hardware", "firmware"),
    )
    online = GaugeMetricFamily(f"{_BATTERY}online", "Whether values are live", labels=("battery",))
    link = GaugeMetricFamily(f"{_BATTERY}link_state", "Which state the link has (1)", labels=("battery", "state"))
    age = GaugeMetricFamily(
        f"{_BATTERY}age_seconds", "Time since voltage, current and state of charge were accepted", labels=("battery",)
    )
    block_age = GaugeMetricFamily(
        f"{_BATTERY}block_age_seconds", "Time since a block of values was accepted", labels=("battery", "block")
    )
    for each in batteries:
        battery, state, device = each.description.id, each.state, each.state.device
        told = (device.manufacturer, device.model, device.serial, device.hardware, device.firmware)
        emulated = "true" if each.description.emulated else "false"
        info.add_metric((battery, each.description.name, emulated, *(text or "" for text in told)), 1)
        online.add_metric((battery,), state.link.state.is_online)
        for possible in LinkState:
            link.add_metric((battery, possible.value), state.link.state is possible)
        if state.accepted_at is not None:
            age.add_metric((battery,), now - state.accepted_at)
        for block, at in state.block_times.items():
            block_age.add_metric((battery, block), now - at)
    yield from (info, online, link, age, block_age)


def _quantities(batteries: Sequence[Measured]) -> Iterator[Metric]:
    for quantity in QUANTITIES:
        items = _ITEM_LABELS.get(quantity.key, ())
        if quantity.metric is None or (quantity.shape is Shape.LIST and not items):
            continue
        family = GaugeMetricFamily(f"{_BATTERY}{quantity.metric}", _help(quantity), labels=("battery", *items))
        for each in batteries:
            for labels, value in _samples(quantity, each.state):
                family.add_metric((each.description.id, *labels), value)
        yield family


def _help(quantity: Quantity) -> str:
    return quantity.name if quantity.unit is None else f"{quantity.name} ({quantity.unit})"


def _samples(quantity: Quantity, state: BatteryState) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the known values of a quantity, with the labels that tell the members of a list apart."""
    if quantity.key == "cell_voltages":
        for number, voltage in enumerate(state.cell_voltages, start=1):
            if voltage is not None:
                yield (str(number),), _rounded(quantity, voltage)
    elif quantity.key == "temperatures":
        for sensor in state.temperatures:
            if sensor.value is not None:
                yield (sensor.name,), _rounded(quantity, sensor.value)
    elif quantity.key == "alarms":
        active = ((each.code, each.level.value, "" if each.cell is None else str(each.cell)) for each in state.alarms)
        for labels in dict.fromkeys(active):  # two alarms of a BMS may have the same meaning here
            yield labels, 1
    elif (value := getattr(state, quantity.key)) is not None:
        yield (), _rounded(quantity, value)


def _rounded(quantity: Quantity, value: float) -> float:
    return float(value) if quantity.digits is None else round(float(value), quantity.digits)


def _lines(batteries: Sequence[Measured]) -> Iterator[Metric]:
    totals = {
        name: CounterMetricFamily(f"{_BATTERY}{name}", meaning, labels=("battery",))
        for name, meaning in (
            ("questions", "Questions put to the battery"),
            ("accepted_replies", "Replies that were accepted"),
            ("asked_again", "Questions put again because a reply was lost or refused"),
            ("cycles", "Complete readings"),
        )
    }
    refused = CounterMetricFamily(
        f"{_BATTERY}refused_replies", "Replies that were not believed", labels=("battery", "cause")
    )
    cycle = GaugeMetricFamily(f"{_BATTERY}cycle_seconds", "Length of a complete reading", labels=("battery",))
    for each in batteries:
        battery, line = each.description.id, each.line
        if line is None:
            continue
        counts = (line.questions, line.accepted, line.asked_again, line.cycles)
        for family, count in zip(totals.values(), counts, strict=True):
            family.add_metric((battery,), count)
        for cause, count in line.refused.items():
            refused.add_metric((battery, cause), count)
        if line.cycle_seconds is not None:
            cycle.add_metric((battery,), line.cycle_seconds)
    yield from (*totals.values(), refused, cycle)
