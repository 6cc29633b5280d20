"""A real rsync, through RSYNC_PROXY, against the service in a process of its own."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("serve_rsync.py")
CHECKOUT = RUNNER.parents[2]
INSTALL = ("-aHAXS", "--numeric-ids", "--whole-file", "--exclude=/never")
ROOT = os.geteuid() == 0

pytestmark = pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")


class House:
    """A running service. ``events`` are the lines that it has printed."""

    def __init__(self, directory, server):
        self.directory = directory
        self.server = server
        self.port = int(server.stdout.readline())
        self.events = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.server.stdout:
            with self._changed:
                self.events.append(tuple(line.split()))
                self._changed.notify_all()

    def wait_for(self, fits):
        """Block until the events fit."""
        with self._changed:
            assert self._changed.wait_for(lambda: fits(self.events), timeout=60), self.events

    def argv(self, *arguments):
        return ("rsync", *arguments)

    def environment(self, node="n1", secret="s"):
        return {**os.environ, "RSYNC_PROXY": f"{node}:{secret}@127.0.0.1:{self.port}", "LC_ALL": "C.UTF-8"}

    def rsync(self, *arguments, node="n1", secret="s", **more):
        """Run a client to its end."""
        return subprocess.run(
            self.argv(*arguments), env=self.environment(node, secret), capture_output=True, text=True, timeout=60,
            check=False, **more,
        )  # fmt: skip

    def start(self, *arguments, node="n1"):
        return subprocess.Popen(
            self.argv(*arguments), env=self.environment(node), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @contextmanager
    def occupied(self, node):
        """A slot that is taken by a client which says nothing."""
        credentials = base64.b64encode(f"{node}:s".encode())
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(b"CONNECT a:1 HTTP/1.0\r\nProxy-Authorization: Basic %s\r\n\r\n" % credentials)
            assert client.recv(13) == b"HTTP/1.0 200 "
            yield

    def children(self):
        """Process ids of the rsync daemons that run."""
        listed = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def close(self):
        self.server.stdin.close()
        self.server.wait(20)
        self._reader.join()
        self.server.stdout.close()


@contextmanager
def serving(directory, transfers=4, wrap=()):
    """A service for ``directory``; it ends with our end of its stdin, whatever becomes of us."""
    server = subprocess.Popen(
        (*wrap, sys.executable, str(RUNNER), str(directory), str(transfers)), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=(directory / "stderr").open("w"), text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    house = House(directory, server)
    try:
        yield house
    finally:
        house.close()


def make_tree(tree):
    """A tree with everything that an image may hold."""
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "etc").mkdir(mode=0o700)
    (tree / "usr/bin/tool").write_bytes(os.urandom(700_000))
    (tree / "usr/bin/tool").chmod(0o4755)
    (tree / "usr/bin/same").hardlink_to(tree / "usr/bin/tool")
    (tree / "etc/twin").hardlink_to(tree / "usr/bin/tool")
    (tree / "bin").symlink_to("usr/bin")
    (tree / "etc/away").symlink_to("/etc/passwd")
    (tree / "etc/up").symlink_to("../../secret")
    (tree / "etc/shadow").write_text("root:x\n")
    (tree / "etc/shadow").chmod(0o600)
    (tree / "etc/empty").touch()
    (tree / "etc/na\nme \\ \u00e9").write_text("odd")
    with (tree / "sparse").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"island")
    for number in range(300):
        (tree / f"etc/{number}").write_text(str(number))
    if shutil.which("setfattr"):
        subprocess.run(("setfattr", "-n", "user.origin", "-v", "golden", str(tree / "etc/empty")), check=False)
    if shutil.which("setfacl"):
        subprocess.run(("setfacl", "-m", "u:12345:rx,d:g:54321:r", str(tree / "etc")), check=False)
    if ROOT:
        os.chown(tree / "etc/shadow", 12345, 54321)
        os.mkfifo(tree / "etc/fifo")
        if shutil.which("setcap"):
            subprocess.run(("setcap", "cap_net_raw+ep", str(tree / "usr/bin/tool")), check=False)
    for path in (tree / "usr", tree / "etc", tree):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def described(tree):
    """Everything that a copy must have in common with its source."""
    found, links = {}, {}
    for path in (tree, *sorted(tree.rglob("*"))):
        info, name = path.lstat(), str(path.relative_to(tree))
        content = b""
        if path.is_symlink():
            content = os.readlink(path)  # noqa: PTH115
        elif path.is_file():
            content = path.read_bytes()
        extended = {
            key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
        }
        found[name] = (
            info.st_mode, info.st_uid, info.st_gid, info.st_nlink if not path.is_dir() else 0,
            int(info.st_mtime), content, extended, links.setdefault(info.st_ino, name),
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("rsync")
    (directory / "tree").mkdir()
    make_tree(directory / "tree")
    (directory / "secret").write_text("secret")
    return directory


@pytest.fixture(scope="module")
def house(directory):
    with serving(directory) as house:
        yield house


def test_the_whole_tree(house, directory, tmp_path):
    done = house.rsync(*INSTALL, "rsync://imaged/image/", str(tmp_path / "got"))
    assert done.returncode == 0, done.stderr
    assert described(tmp_path / "got") == described(directory / "tree")
    assert (tmp_path / "got/sparse").stat().st_blocks < 1000
    house.wait_for(lambda events: events[-1] == ("end", "n1", "0"))
    assert list((directory / "run").iterdir()) == []
    assert "rsync on image/" in (directory / "logs/rsyncd.log").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ("-aHAXS", "--numeric-ids", "--delete", "--delete-delay", "--itemize-changes", "--stats"),
        ("-aHAX", "--numeric-ids", "--no-inc-recursive", "--partial", "--checksum-choice=none", "--whole-file"),
        ("-aHAXx", "--delete", "--delete-excluded", "--exclude=/etc/1*", "--bwlimit=100000", "--timeout=60"),
        ("-rlptD", "--dry-run", "-v"),
        (
            "-aHAXS",
            "--numeric-ids",
            "--delay-updates",
            "--partial-dir=.imaged-partial",
            "--delete-delay",
            "--from0",
            "--filter=merge -",
        ),
    ],
)
def test_options_of_updates(options, house, tmp_path):
    done = house.rsync(*options, "rsync://imaged/image/", str(tmp_path / "got"), input="")
    assert (done.returncode, done.stderr) == (0, "")


def test_contents_for_a_node_that_knows_the_attributes(house, directory, tmp_path):
    """A list of files into staging, with the node's own tree as the basis of a delta."""
    (tmp_path / "node/etc").mkdir(parents=True)
    (tmp_path / "node/etc/1").write_text("what the node has")
    done = house.rsync(
        "-t", "-S", "-I", "--partial", "--no-inc-recursive", "--files-from=-", "--from0",
        f"--compare-dest={tmp_path / 'node'}", "rsync://imaged/image/", f"{tmp_path / 'staged'}/",
        input="./etc/1\0./etc/na\nme \\ \u00e9\0",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    tree = directory / "tree"
    for name in ("etc/1", "etc/na\nme \\ \u00e9"):
        assert (tmp_path / "staged" / name).read_bytes() == (tree / name).read_bytes()


def test_a_list_of_files(house, directory, tmp_path):
    done = house.rsync(
        "-aHAX", "--numeric-ids", "--files-from=-", "--from0", "rsync://imaged/image/", str(tmp_path / "got"),
        input="etc/1\0etc/na\nme \\ \u00e9\0",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "got/etc").iterdir()) == ["1", "na\nme \\ \u00e9"]


@pytest.mark.parametrize(
    ("arguments", "who", "said"),
    [
        (("-a", "rsync://imaged/image/"), {"secret": "wrong"}, "HTTP/1.0 403 no such node, wrong secret"),
        (("-a", "rsync://imaged/image/"), {"node": "stranger"}, "HTTP/1.0 403 no such node, wrong secret"),
        (("-a", "rsync://imaged/other/"), {}, "Unknown module 'other'"),
        (("-a", "rsync://imaged/image/../secret"), {}, ""),
        (("-a", "rsync://imaged/image/etc/up", "--copy-links"), {}, "refuse --copy-links"),
        (("-a", "rsync://imaged/image/", "--checksum"), {}, "refuse --checksum"),
        (("-a", "rsync://imaged/image/", "--remove-source-files"), {}, "refuse --remove-source-files"),
    ],
)
def test_refused(arguments, who, said, house, tmp_path):
    done = house.rsync(*arguments, str(tmp_path / "got"), **who)
    assert done.returncode != 0
    assert said in done.stderr
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_modules_are_not_listed(house):
    assert house.rsync("rsync://imaged/").stdout == ""


def test_nothing_can_be_written(house, directory, tmp_path):
    (tmp_path / "evil").write_text("evil")
    before = described(directory / "tree")
    done = house.rsync("-a", str(tmp_path / "evil"), "rsync://imaged/image/")
    assert done.returncode != 0
    assert "read only" in done.stderr
    assert described(directory / "tree") == before


def test_without_a_proxy_rsync_says_why(house, tmp_path):
    done = subprocess.run(
        ("rsync", "-a", f"rsync://127.0.0.1:{house.port}/image/", str(tmp_path)), capture_output=True, text=True,
        timeout=60, check=False, env={key: value for key, value in os.environ.items() if key != "RSYNC_PROXY"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "@ERROR: this server is for nodes of imaged; set RSYNC_PROXY" in done.stderr


FETCH = ("-aHAXS", "--numeric-ids", "rsync://imaged/image/")
CRAWL = ("-a", "--bwlimit=20", "--whole-file", "rsync://imaged/image/")  # half a minute


def waits(node):
    return lambda events: any(event[:2] == ("queue", node) and event[2] != "0" for event in events)


def begins(node):
    return lambda events: any(event[:3] == ("queue", node, "0") for event in events)


def ended(count):
    return lambda events: sum(event[0] == "end" for event in events) == count


def test_more_clients_than_slots_all_finish(directory, tmp_path):
    with serving(directory, transfers=2) as house:
        most = 0
        with house.occupied("n10"), house.occupied("n11"):
            clients = [house.start(*FETCH, str(tmp_path / f"{n}"), node=f"n{n}") for n in range(6)]
            for n in range(6):
                house.wait_for(waits(f"n{n}"))
            most = len(house.children())
        for client in clients:
            while client.poll() is None:
                most = max(most, len(house.children()))
                with suppress(subprocess.TimeoutExpired):
                    client.wait(0.05)
        assert [client.returncode for client in clients] == [0] * 6
        house.wait_for(ended(8))
        assert most == 2
        assert max(int(event[3]) for event in house.events if event[0] == "queue") == 2
        expected = described(directory / "tree")
        assert all(described(tmp_path / f"{n}") == expected for n in range(6))


def test_a_client_that_is_killed_in_the_queue(directory, tmp_path):
    with serving(directory, transfers=1) as house:
        with house.occupied("n1"):
            second = house.start(*FETCH, str(tmp_path / "2"), node="n2")
            house.wait_for(waits("n2"))
            second.kill()
            second.wait()
            third = house.start(*FETCH, str(tmp_path / "3"), node="n3")
            house.wait_for(waits("n3"))
            assert ("queue", "n3", "1", "1") in house.events  # nobody is before it any more
        assert third.wait(60) == 0
        assert not begins("n2")(house.events)


def test_a_client_that_is_killed_in_its_transfer_frees_the_slot(directory, tmp_path):
    with serving(directory, transfers=1) as house:
        first = house.start(*CRAWL, str(tmp_path / "1"), node="n1")
        house.wait_for(begins("n1"))
        first.kill()
        first.wait()
        assert house.rsync(*FETCH, str(tmp_path / "2"), node="n2").returncode == 0


def test_an_rsync_daemon_that_is_killed_frees_the_slot_and_its_file(directory, tmp_path):
    with serving(directory, transfers=1) as house:
        first = house.start(*CRAWL, str(tmp_path / "1"), node="n1")
        house.wait_for(begins("n1"))
        os.kill(house.children()[0], signal.SIGKILL)
        house.wait_for(ended(1))
        assert house.events[-1] == ("end", "n1", "-9")
        assert first.wait(60) != 0
        assert list((directory / "run").iterdir()) == []
        assert house.rsync(*FETCH, str(tmp_path / "1"), node="n1").returncode == 0
        assert described(tmp_path / "1") == described(directory / "tree")


def test_stop_kills_the_children_and_turns_away_who_waits(directory, tmp_path):
    with serving(directory, transfers=1) as house:
        first = house.start(*CRAWL, str(tmp_path / "1"), node="n1")
        house.wait_for(begins("n1"))
        second = house.start(*FETCH, str(tmp_path / "2"), node="n2")
        house.wait_for(waits("n2"))
        children = house.children()
        house.server.terminate()
        house.server.wait(20)
        assert (first.wait(20) != 0, second.wait(20) != 0) == (True, True)
        assert len(children) == 1
        assert not Path(f"/proc/{children[0]}").exists()
        assert list((directory / "run").iterdir()) == []


def test_what_a_killed_service_left_is_cleaned_at_the_next_start(directory, tmp_path):
    with serving(directory, transfers=1) as house, house.occupied("n1"):
        house.server.kill()
        house.server.wait()
        assert list((directory / "run").glob("rsyncd-*.conf"))
    with serving(directory, transfers=1) as house:
        assert list((directory / "run").iterdir()) == []
        assert house.rsync(*FETCH, str(tmp_path / "1")).returncode == 0


def test_a_grant_that_is_revoked_while_waiting(directory, tmp_path):
    with serving(directory, transfers=1) as house:
        with house.occupied("n1"):
            second = house.start(*FETCH, str(tmp_path / "2"), node="n2")
            house.wait_for(waits("n2"))
            (directory / "revoked").touch()
        try:
            assert second.wait(60) != 0
            assert not begins("n2")(house.events)
        finally:
            (directory / "revoked").unlink()


def test_a_hundred_silent_connections_do_not_keep_a_node_out(house, tmp_path):
    silent = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(100)]
    try:
        done = house.rsync("-a", "rsync://imaged/image/etc/1", str(tmp_path))
        assert done.returncode == 0, done.stderr
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.skipif(not (ROOT and shutil.which("setpriv")), reason="needs root and setpriv to become nobody")
def test_an_unprivileged_service(tmp_path):
    """No chroot without root: what leads out of the tree must stay closed all the same."""
    directory = tmp_path / "open"
    (directory / "tree").mkdir(parents=True)
    (directory / "tree/file").write_text("content")
    (directory / "tree/up").symlink_to("../secret")
    (directory / "tree/out").symlink_to("..")
    (directory / "secret").write_text("secret")
    for parent in (directory, *list(directory.parents)[:-1]):
        if parent.is_relative_to(tmp_path.parents[1]):
            parent.chmod(0o755)
    directory.chmod(0o777)
    # As systemd starts it (AmbientCapabilities=): no root, but it reads what root's trees hold, our own code included.
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    wrap = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *reads)
    with serving(directory, wrap=wrap) as house:
        done = house.rsync("-a", "rsync://imaged/image/", str(tmp_path / "got"))
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "got/file").read_text() == "content"
        assert os.readlink(tmp_path / "got/up") == "../secret"  # noqa: PTH115
        for name in ("up", "out/secret", "../secret"):
            done = house.rsync("-rt", "--no-links", f"rsync://imaged/image/{name}", str(tmp_path / "leak"))
            assert not (tmp_path / "leak/secret").exists()
            assert not (tmp_path / "leak").is_file()
