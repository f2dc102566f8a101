"""Whether a directory lies on a network file system, where the locks of SQLite do not hold."""

from __future__ import annotations

from pathlib import Path

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre"})
_FUSE_NETWORK = ("fuse.sshfs", "fuse.s3fs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone")


def network_file_system(directory: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """Return the type of the network file system ``directory`` lies on; None if it is local or cannot be told.

    Args:
        directory: An existing directory.
        mounts: The kernel's table of mounts.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None  # not Linux
    path = directory.resolve()
    found: tuple[int, str] = (-1, "")
    for line in lines:
        _, point, kind = line.split(" ")[:3]
        place = Path(point.encode().decode("unicode_escape"))  # spaces are written \040
        if path.is_relative_to(place):
            found = max(found, (len(place.parts), kind))
    kind = found[1]
    return kind if kind in _NETWORK or kind.startswith(_FUSE_NETWORK) else None
