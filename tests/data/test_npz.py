import hashlib
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from search.data.inputs import InputInfo
from search.data.npy import MAGIC
from search.data.npz import open_npz as open_stored_npz
from search.errors import InvalidDataError
from tests.data.reading import documented


def open_npz(path, inputs, **limits):
    stored = open_stored_npz(path, inputs, **limits)
    return documented(stored, [replace(info, dtype=stored.dtypes[info.name]) for info in inputs])


X = InputInfo("x", np.dtype(np.float32), (None, 3))


def npy_bytes(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), **options)
    return stream.getvalue()


def with_header(text, values=b"", version=1):
    header = text.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return MAGIC + bytes([version, 0]) + length + header + values


def claim(shape="(4, 3)", descr="'<f4'", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def write_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_arrays_named_like_inputs_are_samples_and_the_rest_labels(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.savez(tmp_path / "a.npz", x=x, labels=np.arange(4), **{"a/b:0": np.ones((4, 2))})
    source = open_npz(tmp_path / "a.npz", [X])
    assert source.n_samples == 4
    assert list(source.layout) == ["x"]
    assert set(source.label_keys) == {"labels", "a/b:0"}
    np.testing.assert_array_equal(source.batch(slice(1, 3))["x"], x[1:3])
    np.testing.assert_array_equal(source.batch([3, 0])["x"], x[[3, 0]])
    np.testing.assert_array_equal(source.labels("labels"), np.arange(4))


NUMBERS = st.sampled_from(["?", "u1", "<i2", ">i4", "<i8", ">u2", "<f2", ">f4", "<f8"])


@given(
    array=NUMBERS.flatmap(
        lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    ),
    order=st.sampled_from("CF"),
    packed=st.booleans(),
)
def test_reads_what_numpy_wrote(tmp_path_factory, array, order, packed):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, x=np.asarray(array, order=order))
    got = open_stored_npz(path, [X]).arrays["x"]
    np.testing.assert_array_equal(got, array)
    assert got.dtype == array.dtype.newbyteorder("=")
    assert got.dtype.isnative
    assert got.flags.c_contiguous


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_reads_every_version_of_the_header(tmp_path, version):
    x = np.ones((2, 3), np.float32)
    path = write_zip(tmp_path / "a.npz", [("x.npy", npy_bytes(x, version=version))])
    np.testing.assert_array_equal(open_npz(path, [X]).batch(slice(None))["x"], x)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3)))
    assert open_npz(tmp_path / "a.npz", [X]).digest == hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40])
def test_refuses_what_is_no_zip(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"a\.npz: cannot be read as \.npz .*np\.savez"):
        open_npz(tmp_path / "a.npz", [X])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_refuses_a_truncated_file(tmp_path, packed, part):
    path = tmp_path / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, x=np.random.default_rng(0).normal(size=(50, 3)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InvalidDataError, match="truncated"):
        open_npz(path, [X])


@pytest.mark.parametrize("packed", [True, False])
def test_refuses_a_flipped_bit(tmp_path, packed):
    path = tmp_path / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, x=np.random.default_rng(0).normal(size=(50, 3)))
    content = bytearray(path.read_bytes())
    content[600] ^= 4
    path.write_bytes(content)
    with pytest.raises(InvalidDataError):
        open_npz(path, [X])


def test_object_arrays_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "executed").touch, ())

    np.savez(tmp_path / "a.npz", x=np.array([Bomb()], dtype=object))
    with pytest.raises(InvalidDataError, match=r"'x': holds Python objects.*unpickling can run code"):
        open_npz(tmp_path / "a.npz", [X])
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.ones(2, complex), np.zeros(2, [("a", "f4")]), np.zeros(2, "M8[s]")]
)
def test_refuses_types_that_are_no_numbers(tmp_path, array):
    np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(InvalidDataError, match="Only bool, 8 to 64-bit integers and 16 to 64-bit floats"):
        open_npz(tmp_path / "a.npz", [X])


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (with_header(claim("(1000000000000, 3)"), b"x" * 48), "claims float32 .1000000000000, 3.*but the file has"),
        (with_header(claim("(4, 3)"), b"x" * 47), "claims float32 .4, 3.*but the file has"),
        (with_header(claim("(4, 3)"), b"x" * 49), "but the file has"),
        (with_header(claim("(-4, 3)")), "impossible shape"),
        (with_header(claim("(True, 3)")), "impossible shape"),
        (with_header(claim(f"({10**30}, 0)")), "impossible shape"),
        (with_header(claim(f"({2**40}, {2**40}, 0)")), "impossible shape"),
        (with_header(claim("[4, 3]")), "impossible shape"),
        (with_header(claim(f"({'1,' * 40})")), "impossible shape"),
        (with_header(claim(order="'F'")), "impossible shape"),
        (with_header(claim(descr="'|O'")), "Python objects"),
        (with_header(claim(descr="'<f16'")), "holds '<f16'"),
        (with_header(claim(descr="[('a', '<f4')]")), "convert with astype"),
        (with_header("{[]: 1}"), "header is damaged"),
        (with_header("(" * 5000), "header is damaged"),
        (with_header("__import__('os')"), "header is damaged"),
        (with_header("{'descr': '<f4'}"), "header is damaged"),
        (with_header("\xff\x00"), "header is damaged"),
        (MAGIC + b"\x02\x00" + struct.pack("<I", 2**31), "claims 2147483648 bytes"),
        (MAGIC + b"\x01\x00" + struct.pack("<H", 100) + b"{", "ends inside the .npy header"),
        (MAGIC + b"\x07\x00" + b"\0" * 100, "version 7 is unknown"),
        (b"PK\x03\x04 a nested zip", "is not a NumPy array"),
        (b"", "is not a NumPy array"),
    ],
)
def test_refuses_a_header_that_lies(tmp_path, member, message):
    path = write_zip(tmp_path / "a.npz", [("x.npy", member)])
    with pytest.raises(InvalidDataError, match=message):
        open_npz(path, [X])


def test_a_small_file_with_a_huge_claim_allocates_nothing(tmp_path):
    """A zip directory may claim any size; deflate cannot pack better than about 1032 to 1."""
    path = write_zip(tmp_path / "a.npz", [("x.npy", with_header(claim("(50000000,)"), b"\0" * 1000))])
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    for claimed in (20, 24):  # packed and unpacked size in the central directory
        content[at + claimed : at + claimed + 4] = struct.pack("<I", 200_000_000)
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match="packed ones, which cannot be"):
        open_npz(path, [X])


def test_refuses_a_zip_bomb(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as stream:
        for _ in range(260):
            stream.write(bytes(2**20))
    with pytest.raises(InvalidDataError, match="unpacks to more than 100 times its size"):
        open_npz(path, [X])


def test_refuses_more_than_the_limit(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((100, 3)))
    with pytest.raises(InvalidDataError, match=r"2000 are allowed\. Use fewer samples"):
        open_npz(tmp_path / "a.npz", [X], max_bytes=2000)


def test_refuses_members_that_are_no_arrays(tmp_path):
    path = write_zip(tmp_path / "a.npz", [("x.npy", npy_bytes(np.ones((1, 3)))), ("inner.zip", b"PK")])
    with pytest.raises(InvalidDataError, match=r"'inner\.zip' is not an array"):
        open_npz(path, [X])


def test_refuses_the_same_name_twice(tmp_path):
    member = npy_bytes(np.ones((1, 3)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip(tmp_path / "a.npz", [("x.npy", member), ("x.npy", member)])
    with pytest.raises(InvalidDataError, match="holds 'x' twice"):
        open_npz(path, [X])


def test_refuses_other_packing(tmp_path):
    path = write_zip(tmp_path / "a.npz", [("x.npy", npy_bytes(np.ones((1, 3))))], compression=zipfile.ZIP_LZMA)
    with pytest.raises(InvalidDataError, match="packed by method 14"):
        open_npz(path, [X])


def test_refuses_too_many_members(tmp_path):
    path = write_zip(tmp_path / "a.npz", [(f"{i}.npy", b"") for i in range(1001)])
    with pytest.raises(InvalidDataError, match="holds 1001 arrays; 1000 are allowed"):
        open_npz(path, [X])


def test_a_name_that_climbs_is_only_a_name(tmp_path):
    members = [("x.npy", npy_bytes(np.ones((1, 3)))), ("../../evil.npy", npy_bytes(np.ones(1)))]
    source = open_npz(write_zip(tmp_path / "a.npz", members), [X])
    assert source.label_keys == ("../../evil",)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_missing_input_is_named_with_what_was_found(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((1, 3)), labels=np.ones(1))
    with pytest.raises(
        InvalidDataError, match=r"input 'x' \(did you mean 'X'\?\); found 'X', 'labels'.*x \(float32 \[N, 3\]\)"
    ):
        open_npz(tmp_path / "a.npz", [X])


@given(st.data())
def test_never_fails_in_another_way(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, x=np.arange(6, dtype=np.float32).reshape(2, 3), labels=np.arange(2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        source = open_npz(path, [X])
    except InvalidDataError:
        return
    assert source.n_samples >= 0
