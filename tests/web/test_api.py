"""The JSON API, its description and the metrics, over HTTP."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.battery.quantities import QUANTITIES
from bridge.config import WebSection
from tests.web.serving import describe, live, serving, silent


async def test_battery_is_the_reading_with_its_name() -> None:
    async with serving(batteries=[describe("main", name="Garage")]) as it:
        it.hub.publish(live())
        answer = await it.get("/api/batteries/main")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json
    assert (told["battery"], told["name"], told["link"]) == ("main", "Garage", "ok")
    assert (told["voltage"], told["current"], told["cell_voltages"]) == (53.12, -12.3, [3.321, 3.319])
    assert told["soh"] is None
    assert "last" not in told


async def test_silent_battery_has_null_values_and_the_last_live_object() -> None:
    async with serving() as it:
        it.hub.publish(live(voltage=53.12))
        it.hub.publish(silent())
        told = (await it.get("/api/batteries/main")).json
    assert (told["link"], told["error"]) == ("silent", "bms_data_error")
    for quantity in QUANTITIES:
        assert told[quantity.key] in (None, []), quantity.key
    assert told["last"]["voltage"] == 53.12
    assert told["last"]["time"] == told["time"] == "2026-11-18T11:06:40.000Z"


async def test_battery_that_was_never_heard_has_no_last_object() -> None:
    async with serving() as it:
        told = (await it.get("/api/batteries/main")).json
    assert (told["link"], told["last"]) == ("starting", None)


async def test_batteries_come_in_the_order_of_the_configuration() -> None:
    async with serving(batteries=[describe("shed"), describe("main"), describe("boat")]) as it:
        told = (await it.get("/api/batteries")).json
    assert [each["battery"] for each in told["batteries"]] == ["shed", "main", "boat"]


async def test_unknown_battery_is_answered_with_the_known_ones() -> None:
    async with serving(batteries=[describe("main"), describe("shed")]) as it:
        answer = await it.get("/api/batteries/mian")
    assert answer.status == 404
    assert answer.json == {"error": "There is no battery 'mian'.", "batteries": ["main", "shed"]}


async def test_health_tells_of_services_box_and_lines() -> None:
    async with serving() as it:
        it.hub.publish(silent())
        told = (await it.get("/api/health")).json
    assert {key: told[key] for key in ("status", "version", "build", "bridge", "uid", "uptime")} == {
        "status": "ok", "version": "9.8.7", "build": "packaged", "bridge": "smartbms", "uid": "0a1b2c3d",
        "uptime": 12.3,
    }
    assert told["services"] == [{"name": "mqtt", "state": "running", "detail": "connected", "restarts": 0}]
    assert (told["box"]["memory"], told["box"]["under_voltage"]) == (50_000_000, None)
    assert told["addresses"] == ["http://smartbms.local:6789"]
    battery = told["batteries"]["main"]
    assert (battery["link"], battery["error"], battery["advice"]) == ("silent", "bms_data_error", "Wake the BMS.")
    assert battery["since"] == "2026-11-18T11:06:50.000Z"
    line = battery["line"]
    assert (line["questions"], line["refused"], line["pause"]) == (12, {"checksum": 2, "timeout": 1}, None)
    assert [each["frame"] for each in line["captures"]] == ["02", "03", "04", "05", "06"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/batteries", "/api/batteries/main", "/api/events", "/metrics"])
async def test_nothing_can_be_changed(method: str, path: str) -> None:
    async with serving() as it:
        answer = await it.get(path, method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD"


async def test_head_is_answered_like_get_without_the_body() -> None:
    async with serving() as it:
        for path in ("/", "/api/batteries", "/api/health", "/metrics", "/api/openapi.json"):
            head, full = await it.get(path, method="HEAD"), await it.get(path)
            assert (head.status, head.body) == (200, b""), path
            assert head.headers["Content-Type"] == full.headers["Content-Type"]
            assert full.body


async def test_lost_program_is_told_what_there_is() -> None:
    async with serving() as it:
        for path in ("/api/nope", "/api", "/api/batteries/main/nope"):
            answer = await it.get(path)
            assert answer.status == 404
            assert answer.json["error"] == f"There is nothing at {path}."
            assert "/api/batteries/{id}" in answer.json["paths"]


async def test_long_answers_are_compressed_for_those_who_read_gzip() -> None:
    async with serving(batteries=[describe(f"b{each}") for each in range(10)]) as it:
        packed = await it.get("/api/batteries", headers={"Accept-Encoding": "br, gzip"})
        plain = await it.get("/api/batteries", headers={"Accept-Encoding": "gzip;q=0"})
        short = await it.get("/api/batteries/none", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(packed.body))["batteries"]) == 10
    assert len(packed.body) < len(plain.body) / 4
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in short.headers


# The description


async def read_description() -> tuple[dict[str, Any], set[str]]:
    """Return the OpenAPI document, and the paths that a lost program is told of (they come from the router)."""
    async with serving() as it:
        return (await it.get("/api/openapi.json")).json, set((await it.get("/api/nope")).json["paths"])


async def test_description_has_exactly_the_paths_that_are_served() -> None:
    document, served = await read_description()
    assert set(document["paths"]) - {"/"} == served
    assert all(set(each) == {"get"} for each in document["paths"].values())


async def test_description_is_well_formed() -> None:
    document, _ = await read_description()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "9.8.7"
    schemas = document["components"]["schemas"]
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert references
    assert {each.removeprefix("#/components/schemas/") for each in references} <= set(schemas)
    names = [each["get"]["operationId"] for each in document["paths"].values()]
    assert len(set(names)) == len(names)
    for path, item in document["paths"].items():
        operation = item["get"]
        declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))
        assert "200" in operation["responses"]
        for response in operation["responses"].values():
            assert response["description"]
            assert all("schema" in content for content in response["content"].values())


KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}


def check(value: object, schema: dict[str, Any], schemas: dict[str, Any], where: str) -> None:
    """Fail unless `value` is as `schema` says and every key of it is described (as much of JSON Schema as we use)."""
    schema = plain(schema, value, schemas)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, KINDS[kind]) for kind in kinds), f"{where}: {value!r} is no {kinds}"
    if isinstance(value, list):
        for each in value:
            check(each, schema["items"], schemas, where)
    elif isinstance(value, dict):
        others = schema.get("additionalProperties", {})
        described: dict[str, Any] = schema.get("properties") or dict.fromkeys(value, others)
        assert set(value) <= set(described), f"{where}: not described"
        assert set(schema.get("required", ())) <= set(value), f"{where}: missing"
        for key, each in value.items():
            check(each, described[key], schemas, f"{where}.{key}")
    else:
        assert value in schema.get("enum", [value]), where


def plain(schema: dict[str, Any], value: object, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that counts for `value`: references followed, alternatives chosen, parts joined."""
    if "$ref" in schema:
        return plain(schemas[schema["$ref"].rpartition("/")[2]], value, schemas)
    if "anyOf" in schema:
        return plain(schema["anyOf"][value is None], value, schemas)
    if "allOf" in schema:
        parts = [plain(each, value, schemas) for each in schema["allOf"]]
        return {
            "type": "object",
            "properties": {key: each for part in parts for key, each in part["properties"].items()},
            "required": [key for part in parts for key in part["required"]],
        }
    return schema


async def test_answers_are_as_described() -> None:
    async with serving() as it:
        document = (await it.get("/api/openapi.json")).json
        schemas = document["components"]["schemas"]

        async def compare(path: str, described: str, status: str = "200") -> None:
            content = document["paths"][described]["get"]["responses"][status]["content"]
            check((await it.get(path)).json, content["application/json"]["schema"], schemas, path)

        for state in (live(), silent()):
            it.hub.publish(state)
            await compare("/api/batteries", "/api/batteries")
            await compare("/api/batteries/main", "/api/batteries/{id}")
            await compare("/api/health", "/api/health")
        await compare("/api/batteries/none", "/api/batteries/{id}", "404")
    async with serving(settings=WebSection(host="127.0.0.1", port=0, home_access="login")) as it:
        check((await it.get("/api/health")).json, schemas["Refusal"], schemas, "refusal")


# The metrics: what stands in them is tested where they are made


async def test_metrics_are_prometheus_text_of_every_battery() -> None:
    async with serving(batteries=[describe("main"), describe("shed")]) as it:
        it.hub.publish(live("main"))
        answer = await it.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    voltages = families["smartbms_battery_voltage_volts"].samples
    assert [(each.labels, each.value) for each in voltages] == [({"battery": "main"}, 53.12)]
    online = families["smartbms_battery_online"].samples
    assert {each.labels["battery"]: each.value for each in online} == {"main": 1.0, "shed": 0.0}
    assert families["smartbms_battery_questions"].samples[0].value == 12
