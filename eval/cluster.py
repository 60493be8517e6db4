"""The Ray cluster that RAY_ADDRESS names, else one on this machine."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from eval.records import UserError


def connect(log_to_driver: bool = True) -> None:
    """Joins the cluster, or starts one here. Raises UserError where RAY_ADDRESS names none that answers."""
    import ray

    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        knock(address or "")
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=log_to_driver, **own)
    except (OSError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS {address!r} is no cluster that answers ({error}); start one, or unset it."
        ) from None


def knock(address: str) -> None:
    """Raises OSError where nobody listens at host:port; Ray itself would wait for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=5).close()
