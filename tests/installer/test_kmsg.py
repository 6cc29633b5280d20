"""The kernel's log is followed to its end; a kernel without one stops nothing."""

import os
import threading

from installer.kmsg import follow


def test_records_are_followed(tmp_path):
    # A packet pipe gives one record for each read, as /dev/kmsg does.
    reading, writing = os.pipe2(os.O_DIRECT)
    found, told = [], threading.Event()

    def add(line):
        found.append(line)
        told.set()

    follow(add, f"/proc/self/fd/{reading}")
    for record in (b"6,1,1500000,-;sda: I/O error\n SUBSYSTEM=scsi\n", b"7,2,1500001,-;debug", b"3,3,2000000,-;\xff\n"):
        told.clear()
        os.write(writing, record)
        if b"debug" not in record:
            assert told.wait(60)
    os.close(writing)
    os.close(reading)
    assert found == ["[    1.500000] sda: I/O error", "[    2.000000] \N{REPLACEMENT CHARACTER}"]


def test_a_kernel_without_a_log_stops_nothing(tmp_path):
    follow([].append, tmp_path / "none")
