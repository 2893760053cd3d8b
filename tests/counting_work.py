"""Work to be sent to workers, which import this module alone."""

import os
import signal
from pathlib import Path

from attrs import frozen

from bnao.errors import DivergedError
from bnao.parallel.engines import THREADS
from bnao.parallel.jobs import Job
from bnao.run import Folder


@frozen(eq=False)
class Counting:
    """Work whose units keep who did them, and how many threads their process has; some go wrong."""

    folder: Path
    n: int
    killed: int = -1  # its process, the first time
    always: bool = False  # and any other time
    fails: int = -1

    def units(self, tell):
        return [self.job(number, tell).unit(Folder(self.folder)) for number in range(self.n)]

    def job(self, number, tell):
        def compute():
            with open(self.folder / "begun.txt", "a") as file:
                file.write(f"{number}\n")
            if number == self.killed and (self.always or not (self.folder / "killed").exists()):
                (self.folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if number == self.fails:
                raise DivergedError("the loss is nan")
            tell({"event": "epoch", "number": number})
            tell({"event": "step", "number": number})
            return {"process": os.getpid(), "threads": os.environ[THREADS[0]]}

        return Job(f"units/{number}.json", compute, dict, dict)
