"""Connect an installed `psycopg2` to a PostgreSQL server that is started for it and stopped again.

The server is the machine's own, listens on a socket in a temporary folder only, and never runs as root.
Exit codes: 0 all is well, 1 something is wrong, 77 there is no PostgreSQL server on this machine.
"""

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

NO_SERVER = 77
PROGRAMS = ("initdb", "postgres")
USERS = ("postgres", "nobody")
START_SECONDS = 30.0


def find_programs():
    """The folder with the newest server's programs; Debian keeps them out of PATH."""
    debian = glob.glob("/usr/lib/postgresql/*/bin")
    debian.sort(key=lambda folder: [int(part) for part in re.findall(r"\d+", folder)], reverse=True)
    others = ["/usr/pgsql/bin", "/usr/local/pgsql/bin", *os.get_exec_path()]
    for folder in (*debian, *others):
        if all(os.access(os.path.join(folder, program), os.X_OK) for program in PROGRAMS):
            return Path(folder)
    print(
        "no PostgreSQL server on this machine: `initdb` and `postgres` are neither below "
        "/usr/lib/postgresql nor on PATH; on Debian: apt-get install postgresql",
        file=sys.stderr,
    )
    sys.exit(NO_SERVER)


def account():
    """The user to run the server as: this one, or an ordinary one when this one is root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    sys.exit("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def as_user(user):
    """What makes a process `user` before it starts, or nothing when it is already."""
    if os.geteuid() == user.pw_uid:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def server_folder(user):
    """A short folder, because the path of a socket has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.geteuid() != user.pw_uid:
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield folder
    finally:
        remove(folder)


def remove(folder):
    """Again and again for a while: what an interrupted `initdb` started may still be writing."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    print(f"could not remove {folder}", file=sys.stderr)


@contextlib.contextmanager
def server(programs, folder, user):
    """A running server; its socket is in `folder`."""
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C", "HOME": str(folder)}
    options = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, **as_user(user)}
    with open(folder / "log", "w+b") as log:
        options.update(stdout=log, stderr=subprocess.STDOUT)
        initialise = [programs / "initdb", "-D", folder / "data", "-U", "check", "-A", "trust"]
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "10",
            "dynamic_shared_memory_type": "mmap",
        }
        start = [programs / "postgres", "-D", folder / "data"]
        for name, value in settings.items():
            start += ["-c", f"{name}={value}"]
        try:
            subprocess.run([*initialise, "-E", "UTF8", "--no-sync"], check=True, **options)
            process = subprocess.Popen(start, **options)
            try:
                wait_until_ready(process, folder)
                yield
            finally:
                stop(process)
        except BaseException:
            log.seek(0)
            print(log.read().decode(errors="replace"), file=sys.stderr)
            raise


def wait_until_ready(process, folder):
    end = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            sys.exit(f"the server ended at once, with {process.returncode}")
        try:
            connect(folder).close()
        except psycopg2.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def stop(process):
    """First by the server's fast shutdown, then by force."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def connect(folder):
    return psycopg2.connect(host=str(folder), user="check", dbname="postgres", connect_timeout=10)


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")
    print(f"{what}: {found!r}")


def check_queries(folder):
    connection = connect(folder)
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        print(f"server {cursor.fetchone()[0]}, libpq {psycopg2.extensions.libpq_version()}")
        cursor.execute("CREATE TABLE river (name text, kilometres integer)")
        rivers = [("Elbe", 1094), ("Дунай", 2850)]
        cursor.executemany("INSERT INTO river VALUES (%s, %s)", rivers)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, kilometres FROM river ORDER BY kilometres")
        expect("rows", cursor.fetchall(), rivers)
        cursor.execute("SELECT %s::bytea, now() - now()", (psycopg2.Binary(b"\0\xff"),))
        expect("bytes", bytes(cursor.fetchone()[0]), b"\0\xff")
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT nothing")
        except psycopg2.errors.UndefinedColumn as error:
            expect("error code", error.pgcode, "42703")
        else:
            sys.exit("a column that does not exist was read")
    connection.close()


def main():
    # A timeout ends this process with SIGTERM: the server must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by a signal"))
    user = account()
    programs = find_programs()
    with server_folder(user) as folder, server(programs, folder, user):
        check_queries(folder)


if __name__ == "__main__":
    main()
