"""A headless Chromium, driven over its DevTools protocol by the standard library alone.

The protocol is JSON over two pipes, each message ended by a zero byte:
https://chromedevtools.github.io/devtools-protocol
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)

# Chromium talks on the files 3 and 4, which subprocess cannot place by itself.
LAUNCHER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def chromium() -> str | None:
    """The program, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


class Browser:
    """One page of one browser; every message of its console and every request is kept."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        far = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (theirs, answers)]
        words = [program, *SWITCHES, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *map(str, far), *words],
            pass_fds=far,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (*far, theirs, answers):
            os.close(end)
        self._rest, self._last, self._session = b"", 0, None
        self._loaded = False
        self.said: list[str] = []
        self.requests: list[str] = []
        self.blocked: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def open(
        self, file: Path, *, width: int = 1280, dark: bool = False, script: bool = True
    ) -> None:
        """Load a file at a width, in a theme; forgets what was said before."""
        self.said, self.requests, self.blocked, self._loaded = [], [], [], False
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[theme])
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Page.navigate", url=file.as_uri())
        self._until(lambda: self._loaded)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, which its policy does not hinder."""
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"]["description"])
        return told["result"].get("value")

    def screenshot(self, file: Path, height: int | None = None) -> None:
        """The whole page as a PNG, or its upper part."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        shot = self.send(
            "Page.captureScreenshot", captureBeyondViewport=True, clip=clip | {"scale": 1}
        )
        file.write_bytes(base64.b64decode(shot["data"]))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        number = self._last
        self._until(lambda: bool(answers), lambda got: answers.append(got), number)
        if "error" in answers[0]:
            raise RuntimeError(f"{method}: {answers[0]['error']['message']}")
        return answers[0]["result"]

    def close(self) -> None:
        """End the browser, and wait until it has ended."""
        os.close(self._out)
        os.close(self._in)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _until(
        self,
        done: Callable[[], bool],
        take: Callable[[dict[str, Any]], None] = lambda got: None,
        number: int | None = None,
    ) -> None:
        """Read messages until all is there that is waited for."""
        begun = time.monotonic()
        while not done():
            if time.monotonic() - begun > 120:
                raise TimeoutError("the browser does not answer")
            got = self._next()
            if number is not None and got.get("id") == number:
                take(got)
            else:
                self._note(got)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError(f"the browser has ended with {self.process.wait()}")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, got: dict[str, Any]) -> None:
        """Keep what the page says and asks for."""
        method, told = got.get("method"), got.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled":
            self.said.append(f"{told['type']}: {told['args']}")
        elif method == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.said.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Network.loadingFailed":
            self.blocked.append(told.get("blockedReason", told["errorText"]))
