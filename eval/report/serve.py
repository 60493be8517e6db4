"""The reports folder in a browser: served on this machine's own address, or opened where there is a desktop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

from eval.records import UserError

LOOPBACK = "127.0.0.1"  # model outputs and problems are nobody else's; from elsewhere: ssh -L
OPENERS = {"linux": "xdg-open", "darwin": "open"}


class Quiet(SimpleHTTPRequestHandler):
    """Files of one folder, without a log line a request, never from a cache: the next report has the same addresses."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def parse_request(self) -> bool:
        """Refuses other names than this machine's own, as a page elsewhere could point one here (DNS rebinding)."""
        if not super().parse_request():
            return False
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host in (LOOPBACK, "localhost"):
            return True
        self.send_error(403, "served to this machine only")
        return False

    def log_message(self, format: str, *args: object) -> None:
        pass


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` on the loopback address; port 0 takes a free one. Raises UserError where the port is taken."""
    try:
        return ThreadingHTTPServer((LOOPBACK, port), partial(Quiet, directory=str(folder)))
    except OSError as error:
        raise UserError(f"port {port} cannot be had ({error.strerror or error}); pass another: --port 0.") from None


def open_in_desktop(page: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Opens `page` in the user's browser where there is a desktop to open it on; whether it tried."""
    opener = which(OPENERS.get(sys.platform, ""))
    if not opener or not has_desktop(environment):
        return False
    subprocess.Popen(
        [opener, page.resolve().as_uri()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return True


def has_desktop(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether somebody sits before this machine: a display, and neither a CI job nor a login from elsewhere."""
    remote = any(environment.get(name) for name in ("CI", "SSH_CONNECTION", "SSH_TTY"))
    display = platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return display and not remote
