"""A home network of namespaces for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outputs_mdns.network import Network, home_network


@pytest.fixture
def network() -> Iterator[Network]:
    with home_network() as network:
        yield network
