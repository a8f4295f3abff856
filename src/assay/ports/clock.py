"""The clock: what time it is, so that tests can say so."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Gives aware UTC times and a monotonic reading in seconds."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes backwards."""
        ...
