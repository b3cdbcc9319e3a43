"""The OpenAPI document: what can be asked for over HTTP, for people and for tools that write clients.

Pure. What a reading holds comes from the table of quantities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.battery.model import AlarmLevel, LinkState
from bridge.battery.quantities import QUANTITIES, Quantity, Shape
from web.access import Refusal
from web.documents import SHOWN_CAPTURES

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}


def openapi_document(version: str) -> dict[str, Any]:
    """Return the document for this version of the bridge."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SmartBMS Bridge",
            "version": version,
            "description": (
                "Reading a battery's BMS. Unknown is null, never 0; current and power are positive when charging; "
                "V, A, W, %, Ah, °C, seconds. From outside the home network everything is answered with 401."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "..", "description": "This bridge"}],
        "paths": {path: {"get": operation} for path, operation in _operations().items()},
        "components": {"schemas": _schemas()},
    }


def _operations() -> dict[str, dict[str, Any]]:
    battery = {
        "name": "id", "in": "path", "required": True, "schema": _STRING, "description": "The battery's configured id."
    }
    return {
        "/": _operation("showPage", "The status page.", _content("text/html", _STRING)),
        "/api/batteries": _operation("listBatteries", "All batteries.", _json(
            _object({"batteries": _list(_ref("Battery"))}))),
        "/api/batteries/{id}": _operation("readBattery", "One battery.", _json(_ref("Battery")))
        | {"parameters": [battery]},
        "/api/events": _operation(
            "followEvents",
            "Live changes as server-sent events: `hello` first (Hello), then `state` (Battery) for every battery and "
            "for every change, `health` (Health) about every 5 s and when it changes. A slow reader misses what was "
            "in between, never the newest.",
            _content("text/event-stream", _STRING),
        ),
        "/api/health": _operation("readHealth", "Health of the bridge, its services and its machine.", _json(
            _ref("Health"))),
        "/api/openapi.json": _operation("readDescription", "This document.", _json({"type": "object"})),
        "/metrics": _operation("readMetrics", "Everything in Prometheus' text format.", _content(
            "text/plain", _STRING)),
    }


def _operation(name: str, summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    refused = {"description": "Not for this visitor; `reason` says why.", "content": _json(_ref("Refusal"))}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if name == "showPage":
        responses["403"] = {"description": "An explanation.", "content": _content("text/html", _STRING)}
    else:
        responses["401"] = refused
    if name == "readBattery":
        responses["404"] = {"description": "No such battery; `batteries` lists the known ones.", "content": _json(
            _object({"error": _STRING, "batteries": _list(_STRING)}))}
    if name == "followEvents":
        responses["503"] = {"description": "Too many streams are open.", "content": _json(_ref("Refusal"))}
    return {"operationId": name, "summary": summary, "responses": responses}


def _schemas() -> dict[str, Schema]:
    return {
        "Reading": _reading(),
        "Battery": {
            "description": "The present reading; while the battery is offline its values are null and `last` holds "
            "the last live reading, if there was one.",
            "allOf": [
                _ref("Reading"),
                _object({"name": _STRING}) | {"properties": {
                    "name": _STRING, "last": {"anyOf": [_ref("Reading"), {"type": "null"}]},
                }},
            ],
        },
        "Health": _health(),
        "Line": _line(),
        "Hello": _object({
            "version": _STRING, "build": _STRING, "bridge": _STRING, "uid": _STRING, "emulated": _FLAG,
        }),
        "Refusal": _object({
            "error": _STRING,
            "reason": {"type": "string", "enum": [*(each.value for each in Refusal), "busy"]},
        }),
    }


def _reading() -> Schema:
    required: dict[str, Schema] = {
        "battery": _STRING,
        "time": _TIME | {"description": "When voltage, current and state of charge were accepted."},
        "age": _unknown(_NUMBER) | {"description": "Seconds since then."},
        "ages": _map(_NUMBER) | {"description": "Seconds since each block of values was accepted."},
        "link": _link(),
        "emulated": _FLAG,
        **{each.key: _quantity(each) for each in QUANTITIES},
        "problem": _unknown(_FLAG) | {"description": "Whether any alarm is active that a person should look at."},
        "device": _object({
            key: _unknown(_STRING) for key in ("manufacturer", "model", "serial", "hardware", "firmware")
        }),
    }
    schema = _object(required)
    schema["properties"] |= {
        "error": _STRING | {"description": "`bms_data_error` where the battery does not answer."},
        "advice": _STRING | {"description": "What to do, in every offline state."},
    }
    return schema


def _quantity(quantity: Quantity) -> Schema:
    if quantity.shape is Shape.FLAG:
        schema = _unknown(_FLAG)
    elif quantity.shape is Shape.NUMBER:
        schema = _unknown(_INTEGER if quantity.digits == 0 else _NUMBER)
    else:
        schema = _list(_LIST_ITEMS[quantity.key])
    unit = "" if quantity.unit is None else f", {quantity.unit}"
    return schema | {"description": f"{quantity.name}{unit}"}


def _health() -> Schema:
    service = _object({"name": _STRING, "state": _STRING, "detail": _unknown(_STRING), "restarts": _INTEGER})
    box = _object({
        "loop_delay_p99": _unknown(_NUMBER), "process_cpu": _unknown(_NUMBER), "total_cpu": _unknown(_NUMBER),
        "memory": _unknown(_INTEGER), "under_voltage": _unknown(_FLAG), "temperature": _unknown(_NUMBER),
        "disk_free": _unknown(_INTEGER),
    })
    battery = _object({
        "link": _link(), "since": _TIME, "error": _unknown(_STRING), "advice": _unknown(_STRING),
        "line": {"anyOf": [_ref("Line"), {"type": "null"}]},
    })
    return _object({
        "status": {"type": "string", "enum": ["ok", "warn", "bad"]},
        "version": _STRING, "build": _STRING, "bridge": _STRING, "uid": _STRING,
        "uptime": _NUMBER, "restart_reason": _STRING,
        "ports": _map(_INTEGER), "addresses": _list(_STRING),
        "services": _list(service), "box": box, "advice": _list(_STRING), "batteries": _map(battery),
    })


def _line() -> Schema:
    capture = _object({"at": _TIME, "cause": _STRING, "frame": _STRING | {"description": "Hex."}})
    return _object({
        "questions": _INTEGER, "accepted": _INTEGER, "refused": _map(_INTEGER), "asked_again": _INTEGER,
        "cycles": _INTEGER, "cycle_seconds": _unknown(_NUMBER), "reply_timeout": _unknown(_NUMBER),
        "pause": _unknown(_NUMBER),
        "captures": _list(capture) | {"description": f"The newest {SHOWN_CAPTURES} refused frames."},
    })


def _link() -> Schema:
    return {"type": "string", "enum": [each.value for each in LinkState]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Schema]) -> Schema:
    """Return an object in which all these properties are present; there may be more."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _unknown(schema: Schema) -> Schema:
    """Return `schema`, whose value may also be null."""
    return schema | {"type": [schema["type"], "null"]}


def _content(content_type: str, schema: Schema) -> dict[str, Any]:
    return {content_type: {"schema": schema}}


def _json(schema: Schema) -> dict[str, Any]:
    return _content("application/json", schema)


_LIST_ITEMS: Mapping[str, Schema] = {
    "cell_voltages": _unknown(_NUMBER),
    "temperatures": _object({"name": _STRING, "value": _unknown(_NUMBER)}),
    "balancing_cells": _INTEGER,
    "alarms": _object({
        "code": _STRING,
        "level": {"type": "string", "enum": [each.value for each in AlarmLevel]},
        "cell": _unknown(_INTEGER),
    }),
}
"""What the members of each list look like."""
