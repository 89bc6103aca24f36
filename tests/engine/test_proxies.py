"""Which proxy an environment names for an endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from prefect_llm.engine.proxies import is_exempt, proxy_for
from prefect_llm.values.errors import InvalidInput

PASSWORD = "pa55word"


@pytest.mark.parametrize(
    ("environ", "base_url", "found"),
    [
        ({}, "https://host/v1", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://host/v1", ("p:3128", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://host/v1", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://host/v1", ("p:3128", "HTTP_PROXY")),
        ({"HTTP_PROXY": "http://p:3128"}, "https://host/v1", None),
        ({"ALL_PROXY": "socks5://p:1080"}, "https://host/v1", ("p:1080", "ALL_PROXY")),
        ({"ALL_PROXY": "socks5h://p", "https_proxy": "q:1"}, "https://host/v1", ("q:1", "https_proxy")),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"}, "https://host/v1", ("q:2", "https_proxy")),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://p:1"}, "https://host/v1", ("p:1", "ALL_PROXY")),
        ({"HTTPS_PROXY": f"http://me:{PASSWORD}@p:1"}, "https://host/v1", ("p:1", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "host"}, "https://host/v1", None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "host", "NO_PROXY": "other"}, "https://host/v1", None),
    ],
)
def test_the_schemes_variable_names_the_proxy(
    environ: dict[str, str], base_url: str, found: tuple[str, str] | None
) -> None:
    proxy = proxy_for(base_url, environ)
    assert (proxy and (proxy.place, proxy.variable)) == found
    assert PASSWORD not in repr(proxy)


@pytest.mark.parametrize(
    "given", ["ftp://p:1", "http://", "http://two words:1", "http://p:port", "socks://p", "http://[p"]
)
def test_what_is_no_proxy_is_refused_by_its_variable(given: str) -> None:
    with pytest.raises(InvalidInput, match="environment HTTPS_PROXY is no proxy's address") as refused:
        proxy_for("https://host/v1", {"HTTPS_PROXY": given.replace("//p", f"//me:{PASSWORD}@p")})
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("no_proxy", "url", "exempt"),
    [
        ("", "https://host/", False),
        ("*", "https://host/", True),
        ("other, *", "http://10.1.2.3/", True),
        ("host", "https://host/", True),
        ("HOST", "https://host/", True),
        ("host", "https://nothost/", False),
        ("company.example", "https://llm.company.example/", True),
        (".company.example", "https://llm.company.example/", True),
        (".company.example", "https://company.example/", True),
        ("*.company.example", "https://llm.company.example/", True),
        ("host:8443", "https://host:8443/", True),
        ("host:8443", "https://host/", False),
        ("host:443", "https://host/", True),
        ("host:80", "http://host/", True),
        ("10.1.2.3", "http://10.1.2.3:8000/", True),
        ("10.1.2.3:8000", "http://10.1.2.3:8000/", True),
        ("10.1.2.3:8001", "http://10.1.2.3:8000/", False),
        ("10.0.0.0/8", "http://10.1.2.3:8000/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://host/", False),
        ("10.0.0.0/x", "http://10.1.2.3/", False),
        ("::1", "http://[::1]:8000/", True),
        ("[::1]", "http://[::1]:8000/", True),
        ("[::1]:8000", "http://[::1]:8000/", True),
        ("[::1]:8001", "http://[::1]:8000/", False),
        ("fd00::/8", "http://[fd12::3]/", True),
        ("[fd00::]/8", "http://[fd12::3]/", True),
        ("0:0:0:0:0:0:0:1", "http://[::1]/", True),
        ("2.3", "http://10.1.2.3/", False),
    ],
)
def test_no_proxy_says_which_hosts_are_reached_without_one(no_proxy: str, url: str, exempt: bool) -> None:
    assert is_exempt(urlsplit(url), no_proxy) is exempt
