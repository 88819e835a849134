"""A real browser, driven over Chromium's DevTools protocol through a pair of pipes: the standard library is enough."""

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
PATIENCE_S = 120.0


class Chromium:
    """`with Chromium(program, folder) as browser`: one page, and a record of all it asked for and complained of.

    requests: URLs that the page and its workers asked for; complaints: errors of the console and uncaught ones.
    """

    def __init__(self, program: str, folder: Path, *flags: str) -> None:
        self._command = [program, *FLAGS, f"--user-data-dir={folder / 'home'}", *flags, "about:blank"]
        self.folder, self.requests, self.complaints = folder, [], []
        self._number, self._bytes, self._answers = 0, b"", {}

    def __enter__(self) -> Chromium:
        inside, self._to = os.pipe()
        self._from, outside = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; moved up first, so that neither is in the other's way.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (inside, outside)]
        place = lambda: (os.dup2(high[0], 3), os.dup2(high[1], 4))  # noqa: E731
        self._process = subprocess.Popen(
            self._command, preexec_fn=place, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in (inside, outside, *high):
            os.close(end)
        target = self.call("Target.createTarget", url="about:blank", session=None)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True, session=None)["sessionId"]
        self._listen(self._session)
        self.call("Page.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, session: str | None = "page", **parameters: Any) -> dict[str, Any]:
        """The result of one method of the protocol. Raises RuntimeError with what Chromium said."""
        number = self._send(method, self._session if session == "page" else session, parameters)
        while number not in self._answers:
            self._receive(PATIENCE_S)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url: str, wide: int = 1100, high: int = 900, dark: bool = False) -> None:
        """Load a page, and wait until its model is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=wide, height=high, deviceScaleFactor=1, mobile=wide < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && document.body.dataset.ready === 'true'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise. Raises RuntimeError for an exception in it."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    def until(self, condition: str, seconds: float = PATIENCE_S) -> None:
        """Wait for a condition in the page. Raises AssertionError with what the page shows."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise AssertionError(f"not so: {condition}\n{self.run('document.body.innerText')}\n{self.complaints}")
            time.sleep(0.05)

    def rest(self, seconds: float) -> None:
        """Let time pass, listening."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._receive(left, patient=True)

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str, code: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            numbers = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code,
                windowsVirtualKeyCode=numbers.get(key, ord(key[0].upper())), **extra,
            )  # fmt: skip

    def choose(self, selector: str, path: Path) -> None:
        """Give a file to an input element."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def saved(self, selector: str, name: str) -> Path:
        """The file that a click on a download link saves."""
        self.call("Browser.setDownloadBehavior", session=None, behavior="allow", downloadPath=str(self.folder))
        self.click(selector)
        path = self.folder / name
        end = time.monotonic() + PATIENCE_S
        while not path.is_file() or list(self.folder.glob("*.crdownload")):
            assert time.monotonic() < end, f"{name} was not saved; there are {list(self.folder.iterdir())}"
            self.rest(0.05)
        return path

    def slide(self, selector: str, value: float) -> None:
        """Move a slider."""
        there = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{there}.value = {value}, {there}.dispatchEvent(new Event('input')), 0")

    def shot(self, path: Path) -> Path:
        """A picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def _listen(self, session: str) -> None:
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

    def _receive(self, seconds: float, patient: bool = False) -> None:
        """Read what is there; wait for it if nothing is."""
        if not select.select([self._from], [], [], seconds)[0]:
            if patient:
                return
            raise TimeoutError(f"Chromium said nothing for {seconds:.0f} s")
        data = os.read(self._from, 1 << 20)
        if not data:
            raise RuntimeError("Chromium ended")
        *whole, self._bytes = (self._bytes + data).split(b"\0")
        for message in whole:
            self._heard(json.loads(message))

    def _heard(self, message: dict[str, Any]) -> None:
        method, facts = message.get("method"), message.get("params", {})
        if "id" in message:
            self._answers[message["id"]] = message
        elif method == "Target.attachedToTarget":
            self._listen(facts["sessionId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(facts["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(facts["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(part.get("value", part)) for part in facts["args"]))
