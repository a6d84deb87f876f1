"""Two machines for the price of one: network namespaces with a cable between them. Needs root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PORT = 29511


class Host(NamedTuple):
    """A namespace, its end of the cable, and its address."""

    name: str
    cable: str
    address: str

    def start(self, *command: object) -> subprocess.Popen[str]:
        """A process on this host."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": self.cable, "OMP_NUM_THREADS": "1"},
        )

    def pull_cable(self) -> None:
        """From now on nothing of this host reaches another, and nobody is told."""
        ip("-n", self.name, "link", "set", self.cable, "down")


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Hosts 10.77.0.1 and 10.77.0.2; they and all of their processes are gone afterwards."""
    mark = os.getpid()
    hosts = (
        Host(f"vae-a-{mark}", f"va{mark}", "10.77.0.1"),
        Host(f"vae-b-{mark}", f"vb{mark}", "10.77.0.2"),
    )
    first, second = hosts
    try:
        for host in hosts:
            ip("netns", "add", host.name)
        cable = ["link", "add", first.cable, "netns", first.name]
        ip(*cable, "type", "veth", "peer", "name", second.cable, "netns", second.name)
        for host in hosts:
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.cable)
            ip("-n", host.name, "link", "set", host.cable, "up")
            ip("-n", host.name, "link", "set", "lo", "up")
        yield hosts
    finally:
        for host in hosts:
            kill_all_on(host)
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True)


def kill_all_on(host: Host) -> None:
    found = subprocess.run(
        ["ip", "netns", "pids", host.name], capture_output=True, text=True
    ).stdout.split()
    for pid in found:
        subprocess.run(["kill", "-KILL", pid], capture_output=True)


def train_on(hosts: tuple[Host, Host], *arguments: object) -> list[subprocess.Popen[str]]:
    """`vae-train` under torchrun, one process on each host; the first one writes."""
    processes = []
    for rank, host in enumerate(hosts):
        processes.append(
            host.start(
                Path(sys.executable).with_name("torchrun"),
                "--nnodes=2",
                f"--node-rank={rank}",
                "--nproc-per-node=1",
                f"--master-addr={hosts[0].address}",
                f"--master-port={PORT}",
                "-m",
                "vae_train",
                *arguments,
            )
        )
    return processes


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
