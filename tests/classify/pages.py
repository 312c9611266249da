"""Commands that serve a page, as processes of their own, and their pages in a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page


class Server:
    """``maskcls COMMAND`` that serves a page: its address, once it can be opened."""

    def __init__(self, command: str, *arguments: str | Path, token: str | None = None) -> None:
        code = "from maskcls.cli.main import main; main()"
        environment = {name: value for name, value in os.environ.items() if name != "MASKCLS_TOKEN"}
        self.process = subprocess.Popen(
            [sys.executable, "-uc", code, command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment | ({"MASKCLS_TOKEN": token} if token else {}),
        )
        assert self.process.stdout is not None
        found = (re.match(r"(http://\S+)  \(Ctrl-C ends\)", line) for line in self.process.stdout)
        self.url = next(match[1] for match in found if match)

    def stop(self, how: signal.Signals) -> str:
        """End it; its last lines."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=30)[0]

    def kill(self) -> None:
        """End it if it still is there."""
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)


@contextmanager
def opened_page(browser: Browser, server: Server, width: int, height: int) -> Iterator[Page]:
    """The page at a fresh start; nothing may be asked of anybody else, and no script may fail."""
    context = browser.new_context(viewport={"width": width, "height": height})
    asked: list[str] = []
    wrong: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.goto(server.url)
    yield page
    context.close()
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {urlsplit(server.url).netloc}
    assert wrong == []
