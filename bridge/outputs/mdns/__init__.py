"""Being found by name: `smartbms.local` and its services in multicast DNS.

`service` decides what is announced and when, `responder` speaks the protocol, `addresses` knows the own addresses.
"""

from __future__ import annotations

from bridge.outputs.mdns.service import MdnsOutput

__all__ = ["MdnsOutput"]
