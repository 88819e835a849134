"""A browser, driven by Chromium's DevTools protocol over a pair of pipes; needs only the standard library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--remote-debugging-pipe",
)  # fmt: skip
TIMEOUT_S = 120.0


class Chromium:
    """`with Chromium(program, folder) as browser`: one page, its requests and its errors.

    requests: URLs that the page and its workers requested; errors: of the console, and uncaught exceptions.
    """

    def __init__(self, program: str, folder: Path, *flags: str) -> None:
        self._command = [program, *FLAGS, f"--user-data-dir={folder / 'home'}", *flags, "about:blank"]
        self.folder = folder
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._number, self._bytes = 0, b""
        self._responses: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Chromium:
        read_end, self._to = os.pipe()
        self._from, write_end = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; moved up first, so that neither overwrites the other.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (read_end, write_end)]
        assign = lambda: (os.dup2(high[0], 3), os.dup2(high[1], 4))  # noqa: E731
        self._process = subprocess.Popen(
            self._command, preexec_fn=assign, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in (read_end, write_end, *high):
            os.close(end)
        target = self.call("Target.createTarget", url="about:blank", session=None)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True, session=None)["sessionId"]
        self._attach(self._session)
        self.call("Page.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, session: str | None = "page", **parameters: Any) -> dict[str, Any]:
        """The result of one method of the protocol. Raises RuntimeError with the error of Chromium."""
        number = self._send(method, self._session if session == "page" else session, parameters)
        while number not in self._responses:
            self._receive(TIMEOUT_S)
        response = self._responses.pop(number)
        if "error" in response:
            raise RuntimeError(f"{method}: {response['error']['message']}")
        return dict(response["result"])

    def open(self, url: str, width: int = 1100, height: int = 900, dark: bool = False) -> None:
        """Load a page and wait until its model is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && document.body.dataset.ready === 'true'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise. Raises RuntimeError for an exception in it."""
        response = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in response:
            raise RuntimeError(response["exceptionDetails"].get("exception", {}).get("description", script))
        return response["result"].get("value")

    def wait_for(self, condition: str, seconds: float = TIMEOUT_S) -> None:
        """Wait for a condition in the page. Raises AssertionError with the text of the page."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > end:
                text = self.evaluate("document.body.innerText")
                raise AssertionError(f"not within {seconds:.0f} s: {condition}\n{text}\n{self.errors}")
            time.sleep(0.05)

    def wait(self, seconds: float) -> None:
        """Let time pass, and receive events."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._receive(left, optional=True)

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str, code: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            numbers = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code,
                windowsVirtualKeyCode=numbers.get(key, ord(key[0].upper())), **extra,
            )  # fmt: skip

    def set_file(self, selector: str, path: Path) -> None:
        """Select a file in an input element."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def download(self, selector: str, name: str) -> Path:
        """Click a download link; the downloaded file."""
        self.call("Browser.setDownloadBehavior", session=None, behavior="allow", downloadPath=str(self.folder))
        self.click(selector)
        path = self.folder / name
        end = time.monotonic() + TIMEOUT_S
        while not path.is_file() or list(self.folder.glob("*.crdownload")):
            assert time.monotonic() < end, f"{name} was not downloaded; there are {list(self.folder.iterdir())}"
            self.wait(0.05)
        return path

    def set_slider(self, selector: str, value: float) -> None:
        """Move a slider."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.value = {value}, {element}.dispatchEvent(new Event('input')), 0")

    def screenshot(self, path: Path) -> Path:
        """A picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def _attach(self, session: str) -> None:
        for method in ("Network.enable", "Runtime.enable", "Log.enable"):
            self._send(method, session, {})
        self._send(
            "Target.setAutoAttach", session, {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        )
        self._send("Runtime.runIfWaitingForDebugger", session, {})

    def _send(self, method: str, session: str | None, parameters: dict[str, Any]) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._number

    def _receive(self, seconds: float, optional: bool = False) -> None:
        """Handle the messages received; wait for one if there are none."""
        if not select.select([self._from], [], [], seconds)[0]:
            if optional:
                return
            raise TimeoutError(f"no message from Chromium for {seconds:.0f} s")
        data = os.read(self._from, 1 << 20)
        if not data:
            raise RuntimeError("Chromium ended")
        *messages, self._bytes = (self._bytes + data).split(b"\0")
        for message in messages:
            self._handle(json.loads(message))

    def _handle(self, message: dict[str, Any]) -> None:
        method, values = message.get("method"), message.get("params", {})
        if "id" in message:
            self._responses[message["id"]] = message
        elif method == "Target.attachedToTarget":
            self._attach(values["sessionId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(values["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(values["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(part.get("value", part)) for part in values["args"]))
