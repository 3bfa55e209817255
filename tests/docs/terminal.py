"""A reader's terminals: commands that end, and commands that run until Ctrl-C."""

import os
import signal
import subprocess
import time

from pages import Fault

# Longest wait, in seconds: for a command's end, for what a page promises after it, for an orderly end.
COMMAND, PROMISE, ENDING = 420, 240, 60


class Terminal:
    def __init__(self, folder, variables, here):
        """Commands run in the folder. `here` puts this place's names and addresses for those of the pages."""
        self.folder, self.variables, self.here = folder, variables, here
        self.background = []

    def run(self, text):
        """Exit status, and what it printed."""
        process = self.spawn(text, subprocess.PIPE)
        try:
            printed, _ = process.communicate(timeout=COMMAND)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Fault(f"`{text}` did not end within {COMMAND} s") from None
        return process.returncode, printed.decode(errors="replace")

    def spawn(self, text, stdout):
        command = ["bash", "-o", "pipefail", "-c", self.here(text)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that started us in its background has it ignored, and what ignores it inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def start(self, text):
        with open(self.folder / "new.log", "wb") as log:
            process = self.spawn(text, log)
        (self.folder / "new.log").rename(self.folder / f"{process.pid}.log")
        self.background.append((text, process))

    def wait_for(self, text):
        """Repeats a command until it succeeds."""
        until = time.monotonic() + PROMISE
        while True:
            status, printed = self.run(text)
            if status == 0:
                return
            for command, process in self.background:
                if process.poll() is not None:
                    raise Fault(f"`{command}` ended by itself, with status {process.returncode}")
            if time.monotonic() > until:
                raise Fault(f"`{text}` did not succeed within {PROMISE} s; at last: {printed}")
            time.sleep(0.2)

    def end_background(self):
        """Ctrl-C in every terminal in which something runs."""
        for text, process in self.background:
            if process.poll() is not None:
                raise Fault(f"`{text}` ended by itself, with status {process.returncode}")
            os.killpg(process.pid, signal.SIGINT)
        for text, process in self.background:
            try:
                status = process.wait(ENDING)
            except subprocess.TimeoutExpired:
                raise Fault(f"`{text}` did not end within {ENDING} s of Ctrl-C") from None
            # 130 and -2: ended by the signal, as a shell tells it.
            if status not in (0, 130, -signal.SIGINT):
                raise Fault(f"`{text}` ended with status {status} after Ctrl-C")
        self.background = []

    def said(self):
        """The end of what those in the background have said."""
        logs = [(text, self.folder / f"{process.pid}.log") for text, process in self.background]
        return "\n".join(f"{text}:\n{log.read_text(errors='replace')[-2000:]}" for text, log in logs)

    def kill(self):
        for _, process in self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
