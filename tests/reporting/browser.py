"""Headless Chromium, spoken to over a pair of pipes by the DevTools protocol; nothing is installed for it."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip

# the browser reads descriptor 3 and writes 4; the pipes may have any numbers, these two among them
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page in a browser of its own, with what it wrote to the console and what it asked the network for."""

    def __init__(self, folder, url, *, width=1280, height=900, dark=False):
        ours, theirs = os.pipe(), os.pipe()
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._browser = subprocess.Popen(
            [sys.executable, "-S", "-c", _START, str(ours[0]), str(theirs[1]), *command],
            pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = os.fdopen(ours[1], "wb"), os.fdopen(theirs[0], "rb")
        self._number, self._session, self._rest = 0, None, b""
        self.complaints, self.requests, self.downloads = [], [], []
        try:
            (target,) = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
            attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            self.call("Emulation.setEmulatedMedia", features=[scheme])
            self.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            self.call("Page.navigate", url=url)
            while (event := self._read()).get("method") != "Page.loadEventFired":
                self._note(event)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """End the browser."""
        with contextlib.suppress(OSError):
            self._to.close()
        self._browser.kill()
        self._browser.wait()
        self._from.close()

    def call(self, method, **params):
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _read(self):
        while b"\0" not in self._rest:
            some = os.read(self._from.fileno(), 1 << 16)
            assert some, "the browser has ended"
            self._rest += some
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        """Keep errors and warnings of the console, and what was fetched."""
        kind, what = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"])
        elif kind == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.complaints.append(what["args"])
        elif kind == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(what["entry"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])

    def run(self, script):
        """Run a script in the page, and return its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition):
        """Wait until a condition of the page holds; the test's time limit ends a wait without end."""
        again = f"new Promise((yes) => {{ const ask = () => ({condition}) ? yes(true) : setTimeout(ask, 20); ask(); }})"
        assert self.run(again)

    def click(self, selector):
        """Click on the middle of the first element that a selector finds, as a mouse does."""
        self.run(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center', behavior: 'instant'}})"
        )
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        self.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def press(self, key):
        """Press a key."""
        codes = {"Escape": 27, "Tab": 9, "Enter": 13}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]} | (
            {"text": "\r"} if key == "Enter" else {}
        )
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def picture(self, path, *, whole=True):
        """Save what the page looks like as a PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))
