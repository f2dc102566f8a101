"""Hostile data sets, D1 to D10 of the cases the service promises to answer."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tests.study.small import pictures
from tests.workers.hostile import USER, Attack


def data_sets() -> Iterator[Attack]:
    x, labels = pictures(40, seed=3), np.zeros(40, np.int64)
    yield Attack("D1 a zip bomb", USER, "100 times", evaluation=_bomb)
    yield Attack("D2 a zip inside", USER, "more.zip", evaluation=_zip({"x.npy": _npy(x), "more.zip": _npz(y=x)}))
    yield Attack("D1 a zip bomb of many members", USER, "100 times", evaluation=_members)
    yield Attack("D1 a size that lies", USER, "100 times", evaluation=_zip_claiming(2**40))
    for path in ("../x/0.npy", "/etc/cron.d/0.npy", "x\\..\\0.npy", "x/\0.npy"):
        yield Attack(f"D3 a file sent as {path!r}", USER, files={path: _npy(x[0])}, refused="invalid-request")
    clash = {"x/0.npy": _npy(x[0]), "X/0.npy": _npy(x[1])}
    yield Attack("D3 names that differ in case only", USER, files=clash, refused="invalid-request")
    yield Attack("D3 a member upwards", USER, "'x'", evaluation=_zip({"../x.npy": _npy(x)}))
    yield Attack("D3 an absolute member", USER, "'x'", evaluation=_zip({"/etc/x.npy": _npy(x)}))
    yield Attack("D3 a member that is a link", USER, "NumPy", evaluation=_zip_link("x.npy", "/etc/passwd"))
    yield Attack("D3 the same name twice", USER, "twice", evaluation=_zip_twice(_npy(x)))
    yield Attack("D4 a header that lies", USER, "claims", evaluation=_zip({"x.npy": _header((2**31, 1, 8, 8))}))
    yield Attack("D5 objects", USER, "unpickling", evaluation=_objects())
    yield Attack("D6 a wrong name", USER, "'x'", evaluation=_npz(image=x, labels=labels))
    yield Attack("D6 a wrong shape", USER, "[", evaluation=_npz(x=x[:, :, :4], labels=labels))
    yield Attack("D6 a wrong type", USER, "", evaluation=_npz(x=x.astype("f8") * 1e300, labels=labels))
    yield Attack("D7 no sample", USER, "", evaluation=_npz(x=x[:0], labels=labels[:0]))
    yield Attack("D7 labels out of range", USER, "", evaluation=_npz(x=x, labels=labels + 10))
    yield Attack("D7 labels that are NaN", USER, "", evaluation=_npz(x=x, labels=np.full(40, np.nan)))
    yield Attack("D7 samples that are NaN", USER, "", evaluation=_npz(x=x * np.nan, labels=labels))
    yield Attack("D7 one sample", (), evaluation=_npz(x=x[:1], labels=labels[:1]))
    yield Attack("D8 many members", USER, "1000", evaluation=_zip({f"{n}.npy": b"" for n in range(5000)}))
    yield Attack(
        "D9 a picture that unpacks to gigabytes",
        USER,
        "",
        files={"0/0.png": _png(60_000), "1/1.png": _png(60_000)},
        spec={"data": {"preprocess": {"resize": 8, "crop": 8}}},
    )
    yield Attack("D10 truncated", USER, "truncated", evaluation=_npz(x=x, labels=labels)[:-200])


def _bomb() -> bytes:
    return _npz(compressed=True, x=np.zeros((1_500_000, 1, 8, 8), np.float32))


def _members() -> bytes:
    return _zip({f"{n}.npy": bytes(2**23) for n in range(40)})


def _npz(*, compressed: bool = False, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    save(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return _zip({"x.npy": buffer.getvalue()})


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _zip_twice(data: bytes) -> bytes:
    return _zip({"x.npy": data, "y.npy": data}).replace(b"y.npy", b"x.npy")


def _zip_link(name: str, to: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, to)
    return buffer.getvalue()


def _zip_claiming(size: int) -> bytes:
    """An archive whose directory says that its member unpacks to ``size`` bytes."""
    data = _zip({"x.npy": bytes(1000)})
    place = data.index(b"PK\x01\x02")
    return data[: place + 24] + struct.pack("<I", min(size, 2**32 - 2)) + data[place + 28 :]


def _header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _png(side: int) -> bytes:
    """A black picture of ``side`` x ``side`` whose rows are left out: only its header is honest."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
