from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import BuilderError, Interrupted
from builder.events import Event
from builder.process import Command, ProcessError, Processes
from builder.process._family import Family
from builder.process._output import Output, Pace, mask
from builder.process._plain import PlainFamily

PATH = "/usr/local/bin:/usr/bin:/bin"

# A daemon by the book: no parent, a session of its own, no pipe of ours; and it ignores SIGTERM.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        with open(sys.argv[1] + ".part", "w") as stream:
            stream.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".part", sys.argv[1])
        time.sleep(120)
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.005)
print("daemon runs", flush=True)
"""


# Takes 64 MB more and says so; a child of its own may try, too.
TAKE = """
import os, sys
if sys.argv[1:] == ["child"] and os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
taken = bytearray(64 << 20)
print("took", len(taken) >> 20)
"""


def shell(script: str, folder: Path, *, timeout: float | None = None, title: str = "") -> Command:
    return Command(("sh", "-c", script), folder, {"PATH": PATH}, title=title, timeout=timeout)


def python(script: str, folder: Path, *words: str, timeout: float | None = None) -> Command:
    argv = (sys.executable, "-I", "-S", "-X", "utf8", "-c", script, *words)
    return Command(argv, folder, {"PATH": PATH}, timeout=timeout)


def soon(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return condition()


def runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


# What a command gets


def test_only_the_declared_environment_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/leak")
    monkeypatch.setenv("LC_ALL", "C")
    command = Command(("env", "-0"), tmp_path, {"PATH": PATH, "ONE": "a\nb", "TWO": ""})
    done = Processes().run(command, capture=True)
    assert sorted(done.stdout.split("\0")) == ["", "ONE=a\nb", f"PATH={PATH}", "TWO="]


def test_words_arrive_as_they_are(tmp_path: Path) -> None:
    words = ("a b", "", "$HOME", "ünï", "new\nline", "'\"", "\udcff")
    done = Processes().run(
        python("import sys; print(ascii(sys.argv[1:]))", tmp_path, *words), capture=True
    )
    assert done.stdout == ascii(list(words)) + "\n"


def test_large_words_and_environments_arrive(tmp_path: Path) -> None:
    environment = {"PATH": PATH, **{f"V{number}": "x" * 10_000 for number in range(20)}}
    command = Command(("sh", "-c", "echo ${#V0}${#V19}", "y" * 100_000), tmp_path, environment)
    assert Processes().run(command, capture=True).stdout == "1000010000\n"


def test_it_runs_in_its_folder_without_input_and_with_a_plain_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        done = Processes().run(shell("pwd; cat; umask", tmp_path), capture=True)
    finally:
        os.umask(before)
    assert done.stdout == f"{tmp_path.resolve()}\n0022\n"


def test_signals_are_neither_ignored_nor_blocked(tmp_path: Path) -> None:
    done = Processes().run(
        shell("grep -E '^Sig(Ign|Blk)' /proc/self/status", tmp_path), capture=True
    )
    assert [int(line.split()[1], 16) for line in done.stdout.splitlines()] == [0, 0]


def test_no_descriptor_of_ours_is_inherited(tmp_path: Path) -> None:
    processes = Processes()
    with (tmp_path / "lock").open("wb") as stream, processes.holding(stream.fileno()):
        done = processes.run(
            python("import os; print(os.listdir('/proc/self/fd'))", tmp_path), capture=True
        )
    assert done.stdout == "['0', '1', '2', '3']\n"  # the last one reads the folder


def test_siblings_do_not_keep_each_other_alive(tmp_path: Path) -> None:
    processes = Processes()
    until_told = shell("for n in $(seq 600); do [ -e go ] && exit; sleep 0.1; done", tmp_path)
    sibling = threading.Thread(target=processes.run, args=(until_told,))
    with processes._family(shell("sleep 120", tmp_path), "/bin/sh", capture=False):
        sibling.start()
        assert soon(lambda: len(processes._running) == 2)
    # Leaving means the end of the pipe; it would not have ended if the sibling had it open, too.
    assert sibling.is_alive()
    (tmp_path / "go").touch()
    sibling.join()


# What comes back


@pytest.mark.parametrize(
    ("script", "returncode", "message", "hint"),
    [
        ("exit 0", 0, "", ""),
        ("exit 1", 1, "exited with status 1", ""),
        ("exit 129", 129, "exited with status 129", ""),
        ("exit 255", 255, "exited with status 255", ""),
        ("exit 137", 137, "exited with status 137 (it stands for SIGKILL)", "memory"),
        ("kill -KILL $$", -9, "was ended by SIGKILL", "memory"),
        ("kill -SEGV $$", -11, "was ended by SIGSEGV", "crashed"),
        ("kill -HUP $$", -1, "was ended by SIGHUP", ""),
        ("kill -40 $$", -40, "was ended by signal 40", ""),
        ("echo 'Killed signal terminated program cc1plus'; exit 1", 1, "status 1", "memory"),
        ("echo 'x: No space left on device'; exit 2", 2, "status 2", "disk"),
    ],
)
def test_exit_statuses_are_exact_and_explained(
    script: str, returncode: int, message: str, hint: str, tmp_path: Path
) -> None:
    command = shell(script, tmp_path)
    assert Processes().run(command, check=False).returncode == returncode
    if returncode == 0:
        assert Processes().run(command).returncode == 0
        return
    with pytest.raises(ProcessError) as caught:
        Processes().run(command)
    assert caught.value.returncode == returncode
    assert caught.value.message.endswith(message)
    assert hint in caught.value.hint


def test_an_error_has_the_command_the_last_lines_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(ProcessError) as caught:
        Processes().run(shell("seq 100; echo end >&2; exit 3", tmp_path), log=log)
    error = caught.value
    assert error.last_lines == (*map(str, range(72, 101)), "end")
    assert error.command.argv[0] == "sh"
    assert error.log == str(log)
    assert (
        str(error).splitlines()[0] == "`sh -c 'seq 100; echo end >&2; exit 3'` exited with status 3"
    )


def test_a_log_has_every_command_and_both_streams_in_order(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    processes = Processes()
    processes.run(shell("echo one; echo two >&2; echo three", tmp_path), log=log)
    processes.run(shell("printf 'no newline'", tmp_path), log=log)
    assert log.read_text(encoding="utf-8").splitlines() == [
        "+ sh -c 'echo one; echo two >&2; echo three'",
        "one",
        "two",
        "three",
        "+ sh -c 'printf '\"'\"'no newline'\"'\"''",
        "no newline",
    ]


def test_a_log_is_written_while_the_command_runs(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    script = f"echo begun; while ! [ -e go ]; do sleep 0.01; done; grep -c begun {log}"
    thread = threading.Thread(
        target=Processes().run, args=(shell(script, tmp_path),), kwargs={"log": log}
    )
    thread.start()
    written = soon(lambda: log.exists() and "\nbegun\n" in log.read_text(encoding="utf-8"))
    (tmp_path / "go").touch()
    thread.join()
    assert written


def test_captured_output_is_whole_and_stays_out_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    script = "seq 20000; echo problem >&2; printf '\\377'"
    done = Processes().run(shell(script, tmp_path), log=log, capture=True)
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 20001)) + "\ufffd"
    assert log.read_text(encoding="utf-8").splitlines()[1:] == ["problem"]
    assert "problem" in done.last_lines


def test_captured_output_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="more than 64 MiB"):
        Processes().run(shell("head -c 100000000 /dev/zero; sleep 60", tmp_path), capture=True)


def test_listeners_are_told_the_newest_line_at_a_bearable_pace(tmp_path: Path) -> None:
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if event.text == "now":
            (tmp_path / "go").touch()

    begin = time.monotonic()
    script = "seq 30000; sleep 0.3; echo now; until [ -e go ]; do sleep 0.01; done"
    Processes(listen).run(shell(script, tmp_path, title="core cpu", timeout=60))
    assert len(told) <= (time.monotonic() - begin) * 10 + 2
    assert told[-1] == Event("line", "core cpu", "now")
    assert {(event.kind, event.job) for event in told} == {("line", "core cpu")}


# What cannot be started


@pytest.mark.parametrize(
    ("argv", "path", "returncode", "message"),
    [
        (("nonesuch",), "/usr/bin:/bin", 127, "there is no `nonesuch` on its PATH (/usr/bin:/bin)"),
        (("sh",), "", 127, "there is no `sh` on its PATH (which is empty)"),
        (("./nonesuch",), PATH, 127, "there is no `./nonesuch`"),
        (("./plain",), PATH, 126, "is not executable"),
        (("plain",), ".", 126, "is not executable"),
        (("./folder",), PATH, 126, "is not executable"),
        (("./orphan",), PATH, 126, "`./orphan`: No such file or directory"),
        (("./foreign",), PATH, 126, "`./foreign`: Exec format error"),
        (("sh", "a\0b"), PATH, 126, "holds a NUL character"),
        ((), PATH, 127, "it is empty"),
        (("sh", "x" * 3_000_000), PATH, 126, "`sh`: Argument list too long"),
    ],
)
def test_what_cannot_be_started_is_named(
    argv: tuple[str, ...], path: str, returncode: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("text", encoding="ascii")
    (tmp_path / "folder").mkdir()
    for name, text in (("orphan", "#!/none/such\n"), ("foreign", "\x7fELF?")):
        (tmp_path / name).write_text(text, encoding="ascii")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ProcessError) as caught:
        Processes().run(Command(argv, tmp_path, {"PATH": path}), check=False)
    assert caught.value.returncode == returncode
    assert caught.value.message.endswith(message)


@pytest.mark.parametrize("name", ["", "A=B"])
def test_an_impossible_variable_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="a variable cannot be called"):
        Processes().run(Command(("env",), tmp_path, {"PATH": PATH, name: "x"}))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"its folder .* does not exist"):
        Processes().run(shell("true", tmp_path / "none"))


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuilderError, match="cannot write the log"):
        Processes().run(shell("true", tmp_path), log=tmp_path / "file" / "x.log")


def test_a_full_disk_under_the_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match=r"cannot write the log `/dev/full`: No space left"):
        Processes().run(shell("true", tmp_path), log=Path("/dev/full"))


# How a family ends


def test_a_timeout_ends_the_family(tmp_path: Path) -> None:
    command = shell("sleep 61 & echo $!; sleep 62", tmp_path, timeout=1)
    with pytest.raises(
        ProcessError, match="did not end within 1 seconds and was stopped"
    ) as caught:
        Processes().run(command)
    assert not runs(int(caught.value.last_lines[0]))
    assert Processes().run(shell("sleep 60", tmp_path, timeout=0.01), check=False).timed_out


def test_a_daemon_does_not_outlive_its_command(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    Processes().run(python(DAEMON, tmp_path, "pid"), log=log)
    pid = (tmp_path / "pid").read_text(encoding="ascii")
    assert not runs(int(pid))
    assert f"+ ended a process that outlived its command: {pid} python" in log.read_text("utf-8")


def test_stop_ends_all_families_and_refuses_later_ones(tmp_path: Path) -> None:
    processes = Processes()
    caught: list[BuilderError] = []

    def run(name: str) -> None:
        try:
            processes.run(python(DAEMON + "time.sleep(60)", tmp_path, name))
        except BuilderError as error:
            caught.append(error)

    threads = [threading.Thread(target=run, args=(f"pid{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    files = [tmp_path / f"pid{number}" for number in range(3)]
    assert soon(lambda: all(file.exists() for file in files))
    processes.stop()
    for thread in threads:
        thread.join()
    assert [type(error) for error in caught] == [Interrupted] * 3
    assert not any(runs(int(file.read_text(encoding="ascii"))) for file in files)
    with pytest.raises(Interrupted):
        processes.run(shell("true", tmp_path))


def test_a_killed_supervisor_is_told_and_takes_the_command_along(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="its supervisor was killed"):
        Processes().run(shell("sleep 60 & echo $! > pid; kill -9 $PPID; sleep 60", tmp_path))
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    assert soon(lambda: not runs(pid))


def test_a_signal_to_the_supervisor_changes_nothing(tmp_path: Path) -> None:
    script = "for name in INT TERM HUP QUIT; do kill -$name $PPID; done; echo fine"
    assert Processes().run(shell(script, tmp_path)).last_lines == ("fine",)


def test_a_listener_that_raises_ends_the_family(tmp_path: Path) -> None:
    def raise_interrupt(event: Event) -> None:
        (tmp_path / "pid").write_text(event.text, encoding="ascii")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Processes(raise_interrupt).run(shell("echo $$; exec sleep 60", tmp_path))
    assert not runs(int((tmp_path / "pid").read_text(encoding="ascii")))


def test_many_threads_run_many_commands(tmp_path: Path) -> None:
    processes = Processes()
    wrong: list[int] = []

    def run(number: int) -> None:
        for _ in range(5):
            done = processes.run(shell(f"echo {number}; exit {number}", tmp_path), check=False)
            if (done.returncode, done.last_lines) != (number, (str(number),)):
                wrong.append(number)

    before = sorted(Path("/proc/self/fd").iterdir())
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# The parts


@pytest.mark.parametrize(
    ("text", "secrets", "expected"),
    [
        ("token=abc123", ("abc123",), "token=***"),
        ("ab abc", ("ab", "abc"), "*** ***"),
        ("line two of a key", ("first\nline two\n",), "*** of a key"),
        ("nothing", ("",), "nothing"),
        ("nothing", ("\n",), "nothing"),
    ],
)
def test_secrets_are_masked(text: str, secrets: tuple[str, ...], expected: str) -> None:
    assert mask(text, secrets) == expected


def test_secrets_are_in_no_output(tmp_path: Path) -> None:
    told: list[Event] = []
    log = tmp_path / "x.log"
    secret = "it's s3cret"  # noqa: S105 - it is one, for this test
    environment = {"PATH": PATH, "TOKEN": secret}
    command = Command(
        ("sh", "-c", 'echo "$TOKEN" $1; exit 1', "x", secret),
        tmp_path,
        environment,
        secrets=(secret,),
    )
    with pytest.raises(ProcessError) as caught:
        Processes(told.append).run(command, log=log)
    shown = f"{caught.value}{told}{log.read_text(encoding='utf-8')}{caught.value.last_lines}"
    assert "s3cret" not in shown
    assert shown.count("***") == 10


def test_a_secret_across_the_cut_of_an_endless_line_is_masked(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("wb") as stream:
        output = Output(stream, ("s3cret",), "job", Pace(), lambda _text: None)
        for chunk in (b"x" * (1024 * 1024 - 3), b"s3c", b"ret" + b"y" * 10, b"s3cr", b"et\n"):
            output.feed("text", chunk)
        output.finish()
    text = log.read_text(encoding="utf-8").replace("\n", "")
    assert text.lstrip("x").replace("y", "") == "******"


def test_terminal_tricks_are_not_shown(tmp_path: Path) -> None:
    script = r"printf ' 10%%\r 99%%\r100%%\n\033[1;31mred\033[0m\n\033]0;title\007plain\n\n\n'"
    assert Processes().run(shell(script, tmp_path)).last_lines == ("100%", "red", "plain")


def test_a_line_may_come_in_pieces() -> None:
    output = _silent()
    for chunk in (b"o", b"ne\ntw", b"o", b"\n", b"\n", b"three"):
        output.feed("text", chunk)
    output.finish()
    assert output.last_lines == ("one", "two", "", "three")


@pytest.mark.parametrize(
    ("script", "timeout", "returncode", "timed_out"),
    [("echo out; exit 5", None, 5, False), ("echo out; exec sleep 60", 1.0, -9, True)],
    ids=["end", "timeout"],
)
def test_without_a_supervisor_the_process_alone_is_followed(
    script: str, timeout: float | None, returncode: int, timed_out: bool, tmp_path: Path
) -> None:
    output = _silent()
    command = shell(script, tmp_path, timeout=timeout)
    family: Family = PlainFamily(command, "/bin/sh", capture=True)
    outcome = family.follow(output)
    family.close()
    assert (outcome.returncode, outcome.timed_out) == (returncode, timed_out)
    assert output.data == "out\n"


def _silent() -> Output:
    return Output(None, (), "job", Pace(), lambda _text: None)


# Memory


@pytest.mark.parametrize("words", [(), ("child",)], ids=["itself", "a child"])
def test_memory_is_limited_for_every_process_of_a_family(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    wide = python(TAKE, tmp_path, *words)

    enough = Processes().run(replace(wide, memory=200_000_000), check=False)
    short = Processes().run(replace(wide, memory=50_000_000), check=False)

    assert (enough.returncode, enough.last_lines) == (0, ("took 64",))
    assert (short.returncode, short.last_lines[-1]) == (1, "MemoryError")


def test_a_limit_does_not_rise_above_that_of_the_caller(tmp_path: Path) -> None:
    ask = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA))"
    begin = (
        "import resource, subprocess, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (300_000_000, 300_000_000))\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from builder.process import Command, Processes\n"
        f"command = Command((sys.executable, '-c', {ask!r}), Path('/'), {{}}, memory=10**12)\n"
        "print(Processes().run(command, capture=True).stdout)"
    )
    root = str(Path(__file__).parents[2])

    done = Processes().run(python(begin, tmp_path, root), capture=True)

    assert done.stdout.strip() == "(300000000, 300000000)"
