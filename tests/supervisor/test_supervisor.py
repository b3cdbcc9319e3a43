"""Services are started in order, restarted when they fail, and stopped in reverse; each tells how it is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from bridge.errors import LinkLost, ServiceError
from bridge.interfaces import ServiceStatus
from bridge.supervisor import Supervisor
from tests.virtual_time import in_virtual_time


class Scripted:
    """A service that does one thing at each start, and the last of them from then on."""

    def __init__(self, *acts: Callable[[], Awaitable[None]]) -> None:
        self.acts = acts
        self.starts: list[float] = []

    async def run(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        await self.acts[min(len(self.starts), len(self.acts)) - 1]()


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def finish() -> None:
    pass


def failing(error: BaseException, *, after: float = 0.0) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        await asyncio.sleep(after)
        raise error

    return act


def middle() -> float:
    """The jitter that changes nothing."""
    return 0.5


async def run_for(supervisor: Supervisor, seconds: float) -> tuple[ServiceStatus, ...]:
    """Run the supervisor for `seconds`, and give the statuses before it stops."""
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(seconds)
    statuses = supervisor.statuses()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return statuses


@in_virtual_time
async def test_delay_doubles_from_one_second_to_a_minute() -> None:
    service = Scripted(failing(ServiceError("no.")))
    supervisor = Supervisor(jitter=middle)
    supervisor.add("mqtt", service)

    (status,) = await run_for(supervisor, 250)

    assert service.starts == pytest.approx([0, 1, 3, 7, 15, 31, 63, 123, 183, 243])
    assert status == ServiceStatus(name="mqtt", state="waiting", detail="no.", restarts=9)


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 0.8), (1.0, 1.2)])
def test_delay_varies_by_a_fifth(jitter: float, expected: float) -> None:
    @in_virtual_time
    async def second_start() -> float:
        service = Scripted(failing(ServiceError("no.")), for_ever)
        supervisor = Supervisor(jitter=lambda: jitter)
        supervisor.add("mqtt", service)
        await run_for(supervisor, 5)
        return service.starts[1]

    assert second_start() == pytest.approx(expected)


@in_virtual_time
async def test_delay_asked_for_by_the_service_is_kept() -> None:
    service = Scripted(failing(ServiceError("Port 6789 is used.", retry_after=10)))
    supervisor = Supervisor()
    supervisor.add("web", service)

    await run_for(supervisor, 35)

    assert service.starts == pytest.approx([0, 10, 20, 30])


@in_virtual_time
async def test_delay_begins_anew_after_the_service_ran_well_for_a_while() -> None:
    service = Scripted(
        failing(ServiceError("no.")), failing(ServiceError("no.")), failing(ServiceError("no."), after=100), for_ever
    )
    supervisor = Supervisor(jitter=middle)
    supervisor.add("mqtt", service)

    await run_for(supervisor, 200)

    assert service.starts == pytest.approx([0, 1, 3, 104])


@in_virtual_time
async def test_service_that_says_it_waits_has_not_recovered() -> None:
    supervisor = Supervisor(jitter=middle)

    async def wait_then_fail() -> None:
        supervisor.tell("mqtt", "waiting", "The broker is away.")
        await asyncio.sleep(100)
        raise ServiceError("no.")

    service = Scripted(failing(ServiceError("no.")), wait_then_fail, for_ever)
    supervisor.add("mqtt", service)

    await run_for(supervisor, 200)

    assert service.starts == pytest.approx([0, 1, 103])


@in_virtual_time
async def test_neighbours_of_a_failing_service_notice_nothing() -> None:
    neighbour = Scripted(for_ever)
    supervisor = Supervisor()
    supervisor.add("mqtt", Scripted(failing(RuntimeError("bug"))))
    supervisor.add("web", neighbour)

    statuses = await run_for(supervisor, 300)

    assert neighbour.starts == [0]
    assert statuses[1] == ServiceStatus(name="web", state="running", detail=None, restarts=0)


@in_virtual_time
async def test_streak_is_one_warning_and_one_recovery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "bridge.supervisor")
    supervisor = Supervisor(jitter=middle)
    supervisor.add("mqtt", Scripted(*[failing(ServiceError("Broker away."))] * 3, for_ever))

    await run_for(supervisor, 60)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "mqtt failed: Broker away. Next try in 1 s."),
        ("DEBUG", "mqtt failed: Broker away. Next try in 2 s."),
        ("DEBUG", "mqtt failed: Broker away. Next try in 4 s."),
        ("INFO", "mqtt runs again, after 3 failures in 7 s"),
    ]


@in_virtual_time
async def test_unexpected_exception_is_shown_with_its_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(jitter=middle)
    supervisor.add("mqtt", Scripted(failing(KeyError("password=hunter2"))))

    (status,) = await run_for(supervisor, 20)

    assert caplog.text.count("Traceback") == 1
    assert status.detail == "Unexpected KeyError; the log says where."


@in_virtual_time
async def test_another_kind_of_failure_in_a_streak_is_shown_too(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(jitter=middle)
    away = failing(ServiceError("Broker away."))
    supervisor.add("mqtt", Scripted(away, failing(KeyError()), away))

    await run_for(supervisor, 20)

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "mqtt failed: Broker away. Next try in 1 s.",
        "mqtt failed: Unexpected KeyError; the log says where. Next try in 2 s.",
    ]


@in_virtual_time
async def test_error_inside_a_task_group_is_told_by_its_own_sentence() -> None:
    async def fail_inside_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever())
            group.create_task(Scripted(failing(LinkLost("No such port.", url="/dev/ttyUSB0"))).run())

    supervisor = Supervisor()
    supervisor.add("battery", Scripted(fail_inside_a_group))

    (status,) = await run_for(supervisor, 0.1)

    assert status.detail == "No such port."


@in_virtual_time
async def test_service_error_in_a_group_keeps_its_retry_after_each_time() -> None:
    async def fail_inside_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever())
            group.create_task(Scripted(failing(ServiceError("no.", retry_after=10))).run())

    service = Scripted(fail_inside_a_group)
    supervisor = Supervisor()
    supervisor.add("mdns", service)

    await run_for(supervisor, 25)

    assert service.starts == pytest.approx([0, 10, 20])
    assert supervisor.statuses()[0].state == "stopped"


@in_virtual_time
async def test_service_that_finishes_stays_stopped() -> None:
    service = Scripted(finish)
    supervisor = Supervisor()
    supervisor.add("history", service)

    (status,) = await run_for(supervisor, 300)

    assert service.starts == [0]
    assert status.state == "stopped"


@in_virtual_time
async def test_service_that_says_it_is_off_stays_off() -> None:
    supervisor = Supervisor()

    async def switch_off() -> None:
        supervisor.tell("mdns", "off", "mdns.enabled is false.")

    supervisor.add("mdns", Scripted(switch_off))

    (status,) = await run_for(supervisor, 10)

    assert status == ServiceStatus(name="mdns", state="off", detail="mdns.enabled is false.")


@in_virtual_time
async def test_service_whose_inner_task_was_cancelled_is_restarted() -> None:
    service = Scripted(failing(asyncio.CancelledError()), for_ever)
    supervisor = Supervisor(jitter=middle)
    supervisor.add("mqtt", service)

    (status,) = await run_for(supervisor, 10)

    assert service.starts == pytest.approx([0, 1])
    assert status.state == "running"


@in_virtual_time
async def test_quiet_service_is_starting_for_a_second_and_then_running() -> None:
    supervisor = Supervisor()
    supervisor.add("tracker", Scripted(for_ever))
    task = asyncio.create_task(supervisor.run())

    await asyncio.sleep(0.5)
    early = supervisor.statuses()[0].state
    await asyncio.sleep(1)
    late = supervisor.statuses()[0].state

    task.cancel()
    assert (early, late) == ("starting", "running")


@in_virtual_time
async def test_service_that_says_it_is_starting_is_not_called_running() -> None:
    supervisor = Supervisor()

    async def connect() -> None:
        supervisor.tell("mqtt", "starting", "Connecting to the broker.")
        await for_ever()

    supervisor.add("mqtt", Scripted(connect))

    (status,) = await run_for(supervisor, 100)

    assert status == ServiceStatus(name="mqtt", state="starting", detail="Connecting to the broker.")


@in_virtual_time
async def test_port_is_known_while_its_service_runs() -> None:
    supervisor = Supervisor(jitter=middle)

    async def serve() -> None:
        supervisor.port("web", 6789)
        await asyncio.sleep(10)
        raise ServiceError("no.")

    supervisor.add("web", Scripted(serve))
    task = asyncio.create_task(supervisor.run())

    await asyncio.sleep(5)
    assert supervisor.ports == {"web": 6789}
    await asyncio.sleep(5.5)
    assert supervisor.ports == {}

    task.cancel()


@in_virtual_time
async def test_services_stop_in_reverse_order_one_after_another() -> None:
    events: list[str] = []

    def slow_to_stop(name: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                await for_ever()
            finally:
                events.append(f"{name} begins to stop")
                await asyncio.sleep(1)
                events.append(f"{name} has stopped")

        return act

    supervisor = Supervisor()
    for name in ("hub", "mqtt"):
        supervisor.add(name, Scripted(slow_to_stop(name)))

    await run_for(supervisor, 10)

    assert events == ["mqtt begins to stop", "mqtt has stopped", "hub begins to stop", "hub has stopped"]
    assert [status.state for status in supervisor.statuses()] == ["stopped", "stopped"]


@in_virtual_time
async def test_service_that_does_not_stop_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(100)

    ended: list[float] = []

    async def obedient() -> None:
        try:
            await for_ever()
        finally:
            ended.append(asyncio.get_running_loop().time())

    supervisor = Supervisor(stop_deadline=3)
    supervisor.add("hub", Scripted(obedient))
    supervisor.add("mqtt", Scripted(stubborn))

    await run_for(supervisor, 10)

    assert ended == [13]
    assert "mqtt did not stop within 3 s and is left behind" in caplog.text


@in_virtual_time
async def test_service_that_fails_while_it_stops_is_not_started_again(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_at_stop() -> None:
        try:
            await for_ever()
        finally:
            raise RuntimeError("bug")

    service = Scripted(fail_at_stop)
    supervisor = Supervisor()
    supervisor.add("mqtt", service)

    await run_for(supervisor, 10)

    assert service.starts == [0]
    assert supervisor.statuses()[0].state == "stopped"
    assert "mqtt failed while it was stopped" in caplog.text


@in_virtual_time
async def test_stop_interrupts_the_wait_before_a_restart() -> None:
    supervisor = Supervisor()
    supervisor.add("web", Scripted(failing(ServiceError("no.", retry_after=1000))))

    await run_for(supervisor, 10)

    assert asyncio.get_running_loop().time() == 10


def test_names_are_unique() -> None:
    supervisor = Supervisor()
    supervisor.add("web", Scripted(for_ever))
    with pytest.raises(ValueError, match="web"):
        supervisor.add("web", Scripted(for_ever))


@in_virtual_time
async def test_part_that_is_no_service_may_use_the_board_too() -> None:
    supervisor = Supervisor()

    supervisor.tell("broker", "running", "on 127.0.0.1:1883")

    assert supervisor.statuses() == (ServiceStatus(name="broker", state="running", detail="on 127.0.0.1:1883"),)
