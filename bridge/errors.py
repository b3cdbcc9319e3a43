"""The whole error tree. Every error carries facts as attributes and one sentence a user can act on.

    BridgeError
    ├── ConfigError                 the configuration is wrong: says where, and the nearest known name
    ├── LinkError                   the byte link to a battery failed
    │   ├── LinkLost                it was there and vanished, or there is no such port
    │   ├── LinkBusy                another program holds the port
    │   └── LinkForbidden           this user may not open the port
    ├── ProtocolError               what came over the link is not a valid answer
    │   ├── FrameError              start, length, checksum or content of a frame is wrong
    │   ├── UnexpectedReply         a valid frame that answers something else (the sleep echo, another board)
    │   └── ReplyTimeout            nothing, or too little, came in time
    ├── CommandRejected             the battery, or our own rules, refused a command
    ├── FirmwareError               an image or an update failed at a stage
    ├── ProvisioningError           joining a network or the set-up access point failed
    ├── StorageError                the data directory cannot be written: full, read-only, gone
    └── ServiceError                an output cannot run now: port taken, feature missing on this machine

Knows nothing of any other module.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Root of all errors that this software raises on purpose.

    The first argument is one sentence for the user; `advice`, when given, says what to do about it.
    """

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}" if self.advice else self.message


class ConfigError(BridgeError):
    """The configuration cannot be used; `where` names file and key, `suggestion` the nearest known name."""

    def __init__(
        self, message: str, *, where: str | None = None, suggestion: str | None = None, advice: str | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.where = where
        self.suggestion = suggestion


class LinkError(BridgeError):
    """The byte link behind `url` failed."""

    def __init__(self, message: str, *, url: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.url = url


class LinkLost(LinkError):
    """The port is not there, or vanished while it was open."""


class LinkBusy(LinkError):
    """Another program holds the port; `holder` names it where the system tells."""

    def __init__(self, message: str, *, url: str, holder: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, url=url, advice=advice)
        self.holder = holder


class LinkForbidden(LinkError):
    """This user may not open the port; `group` is the Unix group that may."""

    def __init__(self, message: str, *, url: str, group: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, url=url, advice=advice)
        self.group = group


class ProtocolError(BridgeError):
    """What came over the link is not a valid answer; `cause` is the short word under which it is counted."""

    cause = "protocol"

    def __init__(
        self, message: str, *, cause: str | None = None, frame: bytes = b"", advice: str | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.frame = frame
        if cause is not None:
            self.cause = cause


class FrameError(ProtocolError):
    """Start, length, checksum or content of a frame is wrong."""

    cause = "frame"


class UnexpectedReply(ProtocolError):
    """A valid frame that is not the answer to what was asked."""

    cause = "unexpected"


class ReplyTimeout(ProtocolError):
    """Nothing, or too little, came in time; `heard` counts the bytes that did."""

    cause = "timeout"

    def __init__(
        self, message: str, *, heard: int = 0, cause: str | None = None, frame: bytes = b"", advice: str | None = None
    ) -> None:
        super().__init__(message, cause=cause, frame=frame, advice=advice)
        self.heard = heard


class CommandRejected(BridgeError):
    """The battery, or our own rules, refused a command; `reason` is the short word for the audit."""

    def __init__(self, message: str, *, reason: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.reason = reason


class FirmwareError(BridgeError):
    """An image or an update failed at `stage`."""

    def __init__(self, message: str, *, stage: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.stage = stage


class ProvisioningError(BridgeError):
    """Joining a network or running the set-up access point failed."""


class StorageError(BridgeError):
    """The data directory cannot be written; what was in the file before is still there."""


class ServiceError(BridgeError):
    """A service cannot run now; the supervisor tries it again after `retry_after` seconds (None: its own delay)."""

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after
