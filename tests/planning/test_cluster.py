"""The cluster tools' command lines, and nodes by position."""

import pytest

from imaged.model.errors import BadInput
from imaged.planning import cluster


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("mpirun", "TERM", ""), "pkill --signal TERM --exact -- mpirun || test $? = 1"),
        (("my job", "9", "ann"), "pkill --signal 9 --euid ann --exact -- 'my job' || test $? = 1"),
    ],
)
def test_kill(given, line):
    assert cluster.kill(*given) == line


@pytest.mark.parametrize(("given", "what"), [(("a", "TERM;", ""), "no signal"), (("a", "9", "-x"), "no user")])
def test_kill_refuses(given, what):
    with pytest.raises(BadInput, match=what):
        cluster.kill(*given)


@pytest.mark.parametrize(
    ("paths", "options", "line"),
    [
        (("/tmp/x",), (False, False), "rm -- /tmp/x"),
        (("/scratch/a b", "/opt/old/"), (True, True), "rm -r -f -- '/scratch/a b' /opt/old/"),
    ],
)
def test_remove(paths, options, line):
    assert cluster.remove(paths, recursive=options[0], force=options[1]) == line


@pytest.mark.parametrize("path", ["", "x", "../x", "~", "/", "//", "/.", "/./", "/tmp/..", "/tmp/../etc", "/a/../"])
def test_remove_refuses(path):
    with pytest.raises(BadInput):
        cluster.remove((path,), recursive=True, force=True)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("--poweroff", "now", "", ""), "shutdown --poweroff now"),
        (("--reboot", "+5", "new kernel", ""), "shutdown --reboot +5 'new kernel'"),
        (("--reboot", "23:30", "", "old > one"),
         "{ grub-reboot 'old > one' || grub2-reboot 'old > one'; } && shutdown --reboot 23:30"),
    ],
)  # fmt: skip
def test_shutdown(given, line):
    assert cluster.shutdown(*given) == line


@pytest.mark.parametrize("when", ["", "soon", "24:00", "+", "now; id", "-1"])
def test_shutdown_refuses(when):
    with pytest.raises(BadInput, match="is no time"):
        cluster.shutdown("--reboot", when, "", "")


@pytest.mark.parametrize(
    ("text", "names"), [("", "abcde"), ("0", "a"), ("1-3", "bcd"), ("4,0-1", "eab"), ("2,2", "cc")]
)
def test_positions(text, names):
    assert "".join(cluster.at_positions(text, "abcde")) == names


@pytest.mark.parametrize("text", ["5", "3-1", "a", "1-", "-1", "0,,1", "0-99"])
def test_positions_that_there_are_not(text):
    with pytest.raises(BadInput):
        cluster.at_positions(text, "abcde")
