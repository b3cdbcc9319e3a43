"""Print what the named integrations of Home Assistant, and those that it always starts, need besides the core (JSON).

Runs with the interpreter that has Home Assistant; its manifests say what each integration needs.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

home_assistant = Path(str(import_module("homeassistant").__file__)).parent
waiting = [*sys.argv[1:], *import_module("homeassistant.bootstrap").DEFAULT_INTEGRATIONS]
known: set[str] = set()
requirements: set[str] = set()
while waiting:
    name = waiting.pop()
    if name not in known:
        known.add(name)
        manifest = json.loads((home_assistant / "components" / name / "manifest.json").read_text(encoding="utf-8"))
        requirements.update(manifest.get("requirements", ()))
        waiting += manifest.get("dependencies", ())
print(json.dumps({  # noqa: T201  # its purpose
    "constraints": str(home_assistant / "package_constraints.txt"),
    "requirements": sorted(requirements),
}))
