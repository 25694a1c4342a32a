"""Becomes another program that dies with its parent and, where asked, does not see itself as root.

Run as a script by `process.py`, with the standard library only (`python -I -S launch.py ...`), so that
it costs 20 ms and no code runs between fork and exec in a threaded parent.

    launch.py PARENT_PID DEATH_SIGNAL IDENTITY PROGRAM [ARGUMENT ...]

IDENTITY is `same`, `mapped:UID:GID` (a new user namespace in which the caller's own ids read as UID and
GID: files stay the caller's, no user is made, no permission changes) or `dropped:UID:GID` (real change of user).
A PROGRAM of `-` does everything but become one: exit status 0 says that it is allowed here.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
REFUSED = 125


def enter_namespace(uid: int, gid: int) -> None:
    """Map the caller's ids to `uid` and `gid` in a new user namespace; raises OSError where that is refused."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are refused here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def take_identity(identity: str) -> None:
    """Apply one of the three identities of the module's docstring."""
    kind, *ids = identity.split(":")
    if kind == "mapped":
        enter_namespace(int(ids[0]), int(ids[1]))
    elif kind == "dropped":
        os.setgroups([])
        os.setgid(int(ids[1]))
        os.setuid(int(ids[0]))


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when the parent's thread ends; Linux only, elsewhere nothing.

    Comes after the change of identity, since the kernel forgets the wish when credentials change.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(REFUSED)


def main(arguments: list[str]) -> None:
    """Do what the module's docstring says; exits 125 where the identity is refused."""
    parent_pid, death_signal, identity, program, *rest = arguments
    try:
        take_identity(identity)
    except OSError as error:
        print(f"launch: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    die_with_parent(int(parent_pid), int(death_signal))
    if program != "-":
        os.execv(program, [program, *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
