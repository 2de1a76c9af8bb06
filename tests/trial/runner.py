"""Runs the program once and checks what must hold for every run, whatever its input."""

import os
import re
import resource
import shlex
import signal
import subprocess
import tempfile
import time

TIME_LIMIT = 20  # seconds; a run takes a tenth of one, but the machine may be busy
NOT_FINITE = re.compile(r"(?<![\w./-])[-+]?(nan|inf|infinity)(?![\w./-])", re.IGNORECASE)


class Result:
    def __init__(self, command, code, out, err, seconds, timed_out):
        self.command, self.code, self.out, self.err = command, code, out, err
        self.seconds, self.timed_out = seconds, timed_out  # timed_out: killed at its time limit

    @property
    def line(self):
        """What the program wrote to stderr, including OpenMP's own lines."""
        return self.err.strip()

    @property
    def refused(self):
        return self.code == 2

    def describe(self):
        if self.timed_out:
            return f"still running after {self.seconds:.0f} s"
        name = f"signal {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        return f"{name}; stderr: {self.err.strip()[:300]!r}"


class Program:
    """The program under trial. OpenMP waits passively: many runs share the cores."""

    def __init__(self, path):
        self.path, self.time_limit = os.path.abspath(path), TIME_LIMIT

    def start(self, arguments, closed=(), limit=None, stdout=None, cwd=None):
        """Starts a process without the descriptors `closed`; `limit` is RLIMIT_AS in bytes."""

        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            for descriptor in closed:
                os.close(descriptor)

        command = [self.path, *map(str, arguments)]
        out = stdout if stdout is not None else tempfile.TemporaryFile()
        err = tempfile.TemporaryFile()
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=cwd,
            env=environment,
            preexec_fn=prepare,
            close_fds=True,
        )
        process.files, process.shown, process.began = (out, err), shlex.join(command), time.monotonic()
        return process

    def finish(self, process):
        timed_out = False
        try:
            process.wait(max(0.1, process.began + self.time_limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            timed_out = True
            process.kill()
            process.wait()
        texts = []
        for file in process.files:
            if isinstance(file, int):  # the caller's
                texts.append("")
                continue
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        return Result(process.shown, process.returncode, *texts, time.monotonic() - process.began, timed_out)

    def run(self, arguments, **options):
        return self.finish(self.start(arguments, **options))


def misbehaviour(result, codes=(0, 2)):
    """Says what is wrong with the result, whatever the input; None for success or a one-line refusal."""
    if result.timed_out or result.code < 0:
        return result.describe()
    if result.code not in codes:
        return result.describe()
    if result.code == 0:
        found = NOT_FINITE.search(result.out)
        return f"exit code 0 and {found.group(0)!r} in the output: {result.out[-200:]!r}" if found else None
    if result.code == 2 and len(result.line.split("\n")) != 1:
        return f"expected one line on stderr, found {result.err[:300]!r}"
    if result.code == 2 and not result.line:
        return "exit code 2 without a message"
    return None
