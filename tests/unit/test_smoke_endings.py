"""What is said of how processes ended, on any system, and what they are given there."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.process import Command, Completed, clean_environment, toolchain_environment
from smoke.endings import ending, starved
from smoke.probing import interpreter_of


def _completed(
    code: int, *lines: str, timed_out: bool = False, memory: int | None = None
) -> Completed:
    command = Command(("python",), Path("/"), {}, timeout=5.0, memory=memory)
    return Completed(command, code, 0.1, lines, timed_out=timed_out)


@pytest.mark.parametrize(
    ("completed", "text"),
    [
        (_completed(0), ""),
        (_completed(0, "chatter", memory=10**9), ""),
        (_completed(3, "Error: no"), "ended with exit code 3: Error: no"),
        (_completed(255), "ended with exit code 255"),
        (_completed(-11), "was killed by SIGSEGV"),
        (_completed(-40), "was killed by signal 40"),
        (_completed(-9, timed_out=True), "did not finish within 5 s"),
        (_completed(0xC0000005), "crashed with an access violation (0xC0000005)"),
        (_completed(0xC0000135), "crashed with a DLL that was not found (0xC0000135)"),
        (_completed(0xC00000FD, "deep"), "crashed with a stack overflow (0xC00000FD): deep"),
        (_completed(0xE06D7363), "crashed with an uncaught C++ exception (0xE06D7363)"),
        (_completed(0xC0DE0001), "crashed with a code of Windows (0xC0DE0001)"),
        (
            _completed(1, "MemoryError", memory=2 * 10**9),
            "needs more than 2000 MB of memory: ended with exit code 1: MemoryError",
        ),
        (
            _completed(-6, "what():  std::bad_alloc", "bye", memory=10**8),
            "needs more than 100 MB of memory: was killed by SIGABRT: bye",
        ),
        (
            _completed(-11, memory=10**8),
            "was killed by SIGSEGV (with at most 100 MB of memory)",
        ),
        (
            _completed(-9, timed_out=True, memory=10**8),
            "did not finish within 5 s (with at most 100 MB of memory)",
        ),
        (_completed(1, "MemoryError"), "ended with exit code 1: MemoryError"),
        (_completed(1, "no", memory=10**8), "ended with exit code 1: no"),
    ],
)  # fmt: skip
def test_the_end_of_a_process_in_words(completed: Completed, text: str) -> None:
    assert ending(completed) == text


def test_an_end_without_an_answer() -> None:
    assert ending(_completed(0), answered=False) == "ended without an answer"


@pytest.mark.parametrize(
    ("fault", "limited"),
    [
        ("ImportError: liba.so: failed to map segment: Cannot allocate memory", True),
        ("RuntimeError: can't start new thread", True),
        ("MemoryError: ", True),
        ("ImportError: no module named memory", False),
    ],
)
def test_a_fault_is_a_lack_of_memory_only_below_a_limit(fault: str, limited: bool) -> None:
    assert starved(fault, None) == fault
    assert (starved(fault, 10**9) != fault) is limited


WINDOWS = (Path(r"C:\env\Scripts"), Path(r"C:\Windows\System32"), Path(r"C:\Windows"))


def test_a_process_on_windows_gets_what_it_cannot_start_without_and_no_more() -> None:
    given = clean_environment(Path(r"D:\neutral"), WINDOWS, "nt")

    assert dict(given) == {
        "PATH": r"C:\env\Scripts;C:\Windows\System32;C:\Windows",
        "SYSTEMROOT": r"C:\Windows",
        "USERPROFILE": r"D:\neutral",
        "TEMP": r"D:\neutral",
        "TMP": r"D:\neutral",
    }
    assert "SYSTEMROOT" not in clean_environment(Path("D:"), WINDOWS[:1], "nt")


def test_compilers_on_windows_are_found_by_the_places_of_every_process_there() -> None:
    given = toolchain_environment(Path(r"D:\neutral"), WINDOWS, "nt")
    clean = clean_environment(Path(r"D:\neutral"), WINDOWS, "nt")

    assert dict(given) == {
        **clean,
        "SYSTEMDRIVE": "C:",
        "WINDIR": r"C:\Windows",
        "COMSPEC": r"C:\Windows\System32\cmd.exe",
        "ProgramFiles": r"C:\Program Files",
        "ProgramFiles(x86)": r"C:\Program Files (x86)",
        "ProgramData": r"C:\ProgramData",
        "PATHEXT": ".COM;.EXE;.BAT;.CMD",
    }
    assert toolchain_environment(Path("/n"), (Path("/usr/bin"),), "posix") == clean_environment(
        Path("/n"), (Path("/usr/bin"),), "posix"
    )


def test_a_process_on_linux_and_macos_gets_a_path_a_home_and_a_language() -> None:
    given = clean_environment(Path("/neutral"), (Path("/env/bin"), Path("/usr/bin")), "posix")

    assert dict(given) == {
        "PATH": "/env/bin:/usr/bin",
        "HOME": "/neutral",
        "TMPDIR": "/neutral",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("place", ["bin/python", "bin/python3", "Scripts/python.exe", "python.exe"])
def test_the_interpreter_of_an_environment_of_any_system(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"")

    assert interpreter_of(tmp_path) == tmp_path / place
    assert interpreter_of(tmp_path / place) == tmp_path / place


def test_a_folder_without_an_interpreter_is_no_environment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no environment"):
        interpreter_of(tmp_path)
