"""Which names and addresses are this machine's."""

import socket

import pytest

from vae_runtime.explore.addresses import (
    is_address,
    is_everywhere,
    is_loopback,
    normalized,
    own_names,
    reachable_host,
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_reaches_only_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_everything_else_may_reach_others(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "everywhere"),
    [("0.0.0.0", True), ("::", True), ("0:0::0", True), ("", True), ("127.0.0.1", False)],
)
def test_the_unspecified_address_is_every_address(host: str, everywhere: bool) -> None:
    assert is_everywhere(host) == everywhere


def test_its_names_are_the_host_name_and_that_in_local() -> None:
    name = normalized(socket.gethostname())
    assert {name, f"{name.partition('.')[0]}.local"} <= own_names()


def test_names_are_compared_without_case_and_the_roots_dot() -> None:
    assert normalized("Board.Local.") == "board.local"


def test_other_machines_find_it_by_an_address_or_a_local_name() -> None:
    host = reachable_host()
    assert is_address(host) or host.endswith(".local")
    assert not is_loopback(host)


def test_without_a_network_other_machines_find_it_by_its_local_name() -> None:
    this_machine_only = ((int(socket.AF_INET), "127.0.0.1"),)
    host = reachable_host(this_machine_only)
    assert host == f"{socket.gethostname().partition('.')[0]}.local"
