"""Which proxy leads to an endpoint, as the environment says: one rule for every connection to a provider.

`https_proxy` or `http_proxy` by the endpoint's scheme, else `all_proxy`, in small letters or capitals; small letters
win, as for curl. `no_proxy` lists where none is used: `*`, a domain with all below it, an address, a network as
`10.0.0.0/8`; each but `*` and a network may end with a port. https://everything.curl.dev/usingcurl/proxies/env.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from prefect_llm.values.errors import InvalidInput

SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy's URL, which may hold a password; its place without one, and the variable that names it."""

    url: str = field(repr=False)
    place: str
    variable: str


def proxy_for(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy to that endpoint, `None` without one. Raises `InvalidInput`, which repeats no password."""
    target = urlsplit(base_url)
    variable = next((name for name in _variables(target.scheme) if environ.get(name)), None)
    if variable is None or is_exempt(target, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return _proxy(environ[variable].strip(), variable)


def is_exempt(target: SplitResult, no_proxy: str) -> bool:
    """Whether an endpoint is reached without a proxy."""
    port = target.port or _PORTS[target.scheme]
    return any(_matches(entry, (target.hostname or "").rstrip("."), port) for entry in no_proxy.lower().split(","))


def _variables(scheme: str) -> tuple[str, ...]:
    return f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"


def _proxy(given: str, variable: str) -> Proxy:
    url = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in SCHEMES or not host or not url.isprintable() or " " in url:
        raise InvalidInput(
            f"environment {variable} is no proxy's address: write one like http://host:3128 or socks5://host:1080, "
            "or name the endpoint's host in NO_PROXY"
        )
    return Proxy(url, f"{host}:{port}" if port else host, variable)


def _matches(entry: str, host: str, port: int) -> bool:
    entry = entry.strip()
    if entry == "*":
        return True
    if "/" in entry:
        return _is_inside(host, entry)
    name, named_port = _split_port(entry)
    if not name or named_port not in (None, port):
        return False
    if (address := _address(name)) is not None or _address(host) is not None:
        return address == _address(host)
    domain = name.removeprefix("*").strip(".")
    return host == domain or host.endswith(f".{domain}")


def _split_port(entry: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[::1]`, `[::1]:port` or a bare `::1`."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        name, port = entry, ""
    return name, int(port) if port.isdecimal() else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_inside(host: str, network: str) -> bool:
    address = _address(host)
    try:
        return address is not None and address in ipaddress.ip_network(
            network.replace("[", "").replace("]", ""), False
        )
    except ValueError:
        return False
