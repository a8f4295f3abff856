"""From a host's name to addresses that applications may have: the name is looked up once, what was found is
checked, and the connection goes to just that."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from assay.adapters.applications.networks import Networks

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a name and a port and gives addresses; raises OSError when there are none."""

LOOKUP_THREADS = 8


class RefusedAddress(OSError):
    """The host has an address that applications may not be reached at; the message says which."""


class SystemLookup:
    """The machine's own lookup, in threads of its own: a name server that hangs holds nothing else up."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="application-lookup")
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except UnicodeError as error:
            raise OSError("no such name") from error  # a label that is empty or too long
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    def close(self) -> None:
        """Let the threads go, without waiting for those that hang."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


async def checked_addresses(host: str, port: int, networks: Networks, lookup: Lookup) -> list[str]:
    """The addresses of a host. Raises RefusedAddress when one of them may not be reached (all of them must be
    allowed: a name that also points elsewhere is not what it seems), OSError when there are none."""
    try:
        found: Sequence[str] = [str(ip_address(host))]
    except ValueError:
        found = await lookup(host, port)
    for address in found:
        problem = networks.problem(address)
        if problem is not None:
            raise RefusedAddress(problem)
    if not found:
        raise OSError("no addresses")
    return list(found)


class CheckedResolver(AbstractResolver):
    """Gives the connector checked addresses only."""

    def __init__(self, networks: Networks, lookup: Lookup) -> None:
        self._networks = networks
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The host's addresses. Raises OSError."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await checked_addresses(host, port, self._networks, self._lookup)
        ]

    async def close(self) -> None:
        """Nothing is open."""
