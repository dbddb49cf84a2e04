"""The parent of one command: it outlives `builder` by a moment, and nothing outlives it.

Its arguments are CONTROL STATUS [HELD...], all of them file descriptors.
CONTROL is a pipe whose write end only `builder` has: it brings the command to start, then a byte to
stop it, then end of file when `builder` is gone. Whichever comes first ends the whole family: on
Linux every descendant, because this process is their subreaper (prctl(2)); elsewhere the command's
process group. STATUS receives `pid N`, `failed STEP ERRNO`, `leftover PID NAME`, `timeout`,
`stopped`, `survived PID...` and `exit N` (negative for a signal), one a line. HELD are locks that
must stay taken as long as the family lives.

Only built-in modules and `ctypes`: this file runs once per command, so its start-up time counts.
"""

# pathlib and contextlib are not worth their start-up time here.
# ruff: noqa: PTH123, PTH208, SIM105

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False  # what type checkers take for True; `typing` is not worth its start-up time
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    Prctl: TypeAlias = Callable[[int, int], object]
    # Bytes of memory (0 for no limit), folder, program, argv and the whole environment.
    Order: TypeAlias = tuple[int, bytes, bytes, list[bytes], dict[bytes, bytes]]
else:
    import _signal as signal  # `signal` imports `enum`, which doubles the start-up time

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Python ignores these two at start-up; a command expects the default.
RESTORED = (*IGNORED, signal.SIGPIPE, *((signal.SIGXFSZ,) if hasattr(signal, "SIGXFSZ") else ()))
SUBREAPER, DEATH_SIGNAL = 36, 1  # PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG
PATIENCE = {"exit": 0.5, "timeout": 2.0, "stopped": 2.0}  # seconds from SIGTERM to SIGKILL
DIED_LATE = -signal.SIGKILL
INVALID = 22  # EINVAL
HOUR = 3_600_000  # milliseconds; poll(2) takes no more than 24 days
SURRENDER = 10.0  # seconds of SIGKILL after which a process in the kernel's hands is given up


def main() -> None:
    """Start the command, wait for its end or an order to end it, and leave nobody behind."""
    control, status, *held = map(int, sys.argv[1:])
    for descriptor in (control, status, *held):
        os.set_inheritable(descriptor, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl = find_prctl()
    prctl(SUBREAPER, 1)
    received = read_order(control)
    if received is None:
        return
    timeout, order = received
    wake = watch_children()
    child = start(status, prctl, order)
    silence()
    reason, code = wait(control, wake, child, timeout)
    code = end_family(status, wake, child, code, reason)
    if reason != "exit":
        say(status, reason)
    say(status, f"exit {code}")
    os._exit(0)  # an interpreter's own farewell takes milliseconds


def find_prctl() -> Prctl:
    """`prctl(2)` of two numbers, or a function that does nothing where there is none."""
    if sys.platform != "linux":
        return lambda _option, _value: 0
    import ctypes  # noqa: PLC0415 - only Linux needs it

    function = ctypes.CDLL(None).prctl
    return lambda option, value: function(option, ctypes.c_ulong(value), 0, 0, 0)


def read_order(control: int) -> tuple[float | None, Order] | None:
    """What to start, or None when `builder` was gone before it had said all."""
    size = read_exactly(control, 8)
    text = read_exactly(control, int.from_bytes(size, "big")) if size else None
    if text is None:
        return None
    timeout, memory, directory, program, count, *words = text.split(b"\0")
    argv, variables = words[: int(count)], words[int(count) :]
    environment = dict(variable.split(b"=", 1) for variable in variables)
    order = (int(memory or 0), directory, program, argv, environment)
    return float(timeout) if timeout else None, order


def read_exactly(descriptor: int, size: int) -> bytes | None:
    """`size` bytes, or None when the pipe ended before."""
    chunks = []
    while size:
        chunk = os.read(descriptor, size)
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def watch_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    wake, alarm = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(alarm, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(alarm)
    return wake


def start(status: int, prctl: Prctl, order: Order) -> int:
    """The id of the command's process. A failure before the program runs is told in `status`."""
    memory, directory, program, argv, environment = order
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    step = "directory"
    try:
        os.setsid()
        say(status, f"pid {os.getpid()}")
        prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        os.chdir(directory)
        step = "memory"
        limit(memory)
        step = "program"
        os.execve(program, argv, environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        say(status, f"failed {step} {error.errno}")
    finally:
        os._exit(127)


def limit(memory: int) -> None:
    """Bound the private, writable memory of this process and of all that it starts, in bytes."""
    if not memory:
        return
    import resource  # noqa: PLC0415 - few commands have a limit

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    bound = memory if most == resource.RLIM_INFINITY else min(memory, most)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    except ValueError as error:  # what `resource` makes of some errors of the system
        raise OSError(INVALID, str(error)) from error


def silence() -> None:
    """Let go of the output pipes, so that they end when the last of the family has ended."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)


def say(status: int, line: str) -> None:
    """Tell `builder`, if it still is there."""
    try:
        os.write(status, line.encode() + b"\n")
    except OSError:
        pass


def wait(control: int, wake: int, child: int, timeout: float | None) -> tuple[str, int | None]:
    """Why waiting ended (`exit`, `timeout`, `stopped`), and the child's exit status if any."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        code, _ = reap(child, None)
        if code is not None:
            return "exit", code
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = dict(poll.poll(None if left is None else min(int(left * 1000) + 1, HOUR)))
        if control in ready:
            return "stopped", None
        if wake in ready:
            drain(wake)
        elif deadline is not None and time.monotonic() >= deadline:
            return "timeout", None


def drain(wake: int) -> None:
    """Forget the alarms so far."""
    try:
        os.read(wake, 4096)
    except BlockingIOError:
        pass


def reap(child: int, code: int | None) -> tuple[int | None, bool]:
    """Collect ended children: the exit status of `child` once known, and whether any is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code, False
        if pid == 0:
            return code, True
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def end_family(status: int, wake: int, child: int, code: int | None, reason: str) -> int:
    """Ask everybody to end, then make them. The exit status of `child`."""
    code, children = reap(child, code)
    if not anyone(child, children):
        return DIED_LATE if code is None else code
    family = members(child)
    if reason == "exit":
        for pid in family:
            say(status, f"leftover {abs(pid)} {name_of(pid)}")
    send(family, signal.SIGTERM)
    begin = time.monotonic()
    while anyone(child, children):
        pause(wake)
        code, children = reap(child, code)
        waited = time.monotonic() - begin
        if waited > PATIENCE[reason]:
            send(members(child), signal.SIGKILL)
        if waited > PATIENCE[reason] + SURRENDER:
            say(status, f"survived {' '.join(str(abs(pid)) for pid in members(child))}")
            break
    return DIED_LATE if code is None else code


def anyone(child: int, children: bool) -> bool:
    """Whether somebody is left; a subreaper has children as long as it has descendants."""
    return children or (sys.platform != "linux" and group_lives(child))


def pause(wake: int) -> None:
    """Wait for the next child to end, a hundredth of a second at most."""
    select.select([wake], [], [], 0.01)
    drain(wake)


def send(family: Iterable[int], number: int) -> None:
    """Send a signal to all of a family; who has ended or may not be touched is passed over."""
    for pid in family:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def members(child: int) -> list[int]:
    """Whom to signal: all living descendants where proc(5) tells them, else the group."""
    try:
        return descendants(parents())
    except OSError:
        return [-child] if group_lives(child) else []


def group_lives(child: int) -> bool:
    """Whether the command's process group has a member that can be signalled."""
    try:
        os.kill(-child, 0)
    except OSError:
        return False
    return True


def parents() -> dict[int, tuple[int, bytes]]:
    """The parent of every process that has not ended, from proc(5)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                state, parent = stream.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        found[int(name)] = (int(parent), state)
    return found


def descendants(found: dict[int, tuple[int, bytes]]) -> list[int]:
    """Every process below this one that still runs; ended ones are walked through."""
    below: dict[int, list[int]] = {}
    for pid, (parent, _state) in found.items():
        below.setdefault(parent, []).append(pid)
    reached: list[int] = []
    queue = [os.getpid()]
    while queue:
        children = below.get(queue.pop(), [])
        queue.extend(children)
        reached.extend(pid for pid in children if found[pid][1] not in (b"Z", b"X"))
    return reached


def name_of(pid: int) -> str:
    """What the system calls a process."""
    try:
        with open(f"/proc/{abs(pid)}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "?"
