"""Whether a rank of the same node lives, as its signature tells."""

from __future__ import annotations

import os
import signal

from lighter.peers.neighbours import has_died, signature


def test_a_process_is_dead_once_it_has_ended_and_before_anyone_has_asked_for_its_status() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, signature().encode())
        signal.pause()
    signed = os.read(read, 200).decode()
    os.close(read)
    os.close(write)
    assert signed.startswith(f"{child} ")
    assert not has_died(signed)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert has_died(signed), "a zombie"
    os.waitpid(child, 0)
    assert has_died(signed)


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    pid, birth, space = signature().split()
    assert not has_died(signature())
    assert has_died(f"{pid} {birth}0 {space}")


def test_of_processes_that_cannot_be_seen_from_here_nothing_is_said() -> None:
    _, birth, space = signature().split()
    dead = f"{2**22} {birth} {space}"
    assert has_died(dead)
    for signed in (dead.replace(space, "pid:[1]"), f"{2**22} another-boot:7 {space}", "gone", ""):
        assert not has_died(signed)
