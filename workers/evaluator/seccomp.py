"""A seccomp filter: the system calls an evaluator does without, refused by the kernel.

What it needs no more once its libraries are loaded: sockets, new processes, other processes' memory, signals to anybody
but itself, kernel keys, mounts, namespaces. Threads stay allowed; ``clone3`` is said to be missing, so that the C
library falls back to ``clone``, whose flags a filter can read.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Sequence

_REFUSED = {  # system call: its number on x86_64 and on aarch64; -1 where it is not
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "io_uring_setup": (425, 425),  # its requests pass no filter
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
}
_CLONE, _CLONE3, _KILL, _TGKILL, _PRLIMIT, _PRCTL = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261), (157, 167)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_CLONE_THREAD = 0x00010000
_PDEATHSIG, _DUMPABLE = 1, 4  # of prctl: both were set for good
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_REFUSE = (_RETURN, 0, 0, _ERROR | errno.EPERM)
_PERMIT = (_RETURN, 0, 0, _ALLOW)
_PR_GET_SECCOMP = 21
_SECCOMP_SYSCALL = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _ALL_THREADS = 1, 1
Instruction = tuple[int, int, int, int]


def is_available() -> bool:
    """Whether this kernel takes a filter for this kind of processor."""
    return platform.machine() in _MACHINES and ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def install(own_pid: int) -> bool:
    """Refuse these calls to all threads of this process for the rest of its life; False where the kernel cannot.

    Args:
        own_pid: The only process that may be signalled. ``PR_SET_NO_NEW_PRIVS`` must be set.
    """
    if not is_available():
        return False
    machine = platform.machine()
    program = instructions(machine, own_pid)
    code = b"".join(struct.pack("<HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HxxxxxxP", len(program), ctypes.addressof(buffer))
    return bool(ctypes.CDLL(None).syscall(_SECCOMP_SYSCALL[machine], _SET_FILTER, _ALL_THREADS, header) == 0)


def instructions(machine: str, own_pid: int) -> Sequence[Instruction]:
    """The filter as classic BPF: ``(code, jump if true, jump if false, value)``."""
    column, architecture = _MACHINES[machine]
    refused = [numbers[column] for numbers in _REFUSED.values() if numbers[column] >= 0]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        _REFUSE,
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        _REFUSE,
        *(one for number in refused for one in ((_EQUAL, 0, 1, number), _REFUSE)),
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        *_if(_CLONE[column], (_ANY_BIT, 0, 1, _CLONE_THREAD), _PERMIT, _REFUSE),
        *_if(_KILL[column], (_EQUAL, 0, 1, own_pid), _PERMIT, _REFUSE),
        *_if(_TGKILL[column], (_EQUAL, 0, 1, own_pid), _PERMIT, _REFUSE),
        *_if(_PRLIMIT[column], (_EQUAL, 0, 1, 0), _PERMIT, _REFUSE),
        *_if(_PRCTL[column], (_EQUAL, 2, 0, _PDEATHSIG), (_EQUAL, 1, 0, _DUMPABLE), _PERMIT, _REFUSE),
        _PERMIT,
    ]


def _if(number: int, *decide: Instruction) -> Sequence[Instruction]:
    """For one system call: decide by its first argument."""
    return [(_EQUAL, 0, len(decide) + 1, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), *decide]
