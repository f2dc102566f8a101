from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from search.errors import InvalidModelError
from search.graph.limits import Limits
from search.graph.load import read_model
from tests.builders import model, node, run, save

VALUES = np.arange(6, dtype=np.float32)


def proto_with(location, **entries):
    """x + w, with the six values of w in a file."""
    proto = model([node("Add", "x w", "y", "add")], ["x[6]"], ["y[6]"], {"w": VALUES})
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(text))
    return proto


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "outside.bin").write_bytes(VALUES.tobytes())
    inside = tmp_path / "job"
    inside.mkdir()
    (inside / "w.bin").write_bytes(b"\1" * 8 + VALUES.tobytes())
    return inside


def refused(folder, location, match, **entries):
    with pytest.raises(InvalidModelError, match=match):
        read_model(save(proto_with(location, **entries), folder))


@pytest.mark.parametrize("location", ["w.bin", "./w.bin"])
def test_data_inside_the_folder_is_read_into_the_model(folder, location):
    path = save(proto_with(location, offset=8, length=24), folder)
    user = read_model(path)
    assert run(user.proto, {"x": np.zeros(6, np.float32)})["y"].tolist() == VALUES.tolist()
    assert user.digest == hashlib.sha256(path.read_bytes() + VALUES.tobytes()).hexdigest()


def test_data_in_a_folder_below_is_read(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(VALUES.tobytes())
    user = read_model(save(proto_with("sub/w.bin"), folder))
    assert np.frombuffer(user.proto.graph.initializer[0].raw_data, np.float32).tolist() == VALUES.tolist()


def test_the_digest_changes_with_the_external_data(folder):
    path = save(proto_with("w.bin", offset=8), folder)
    before = read_model(path).digest
    (folder / "w.bin").write_bytes(b"\1" * 8 + (VALUES + 1).tobytes())
    assert read_model(path).digest != before


@pytest.mark.parametrize(
    "location",
    [
        "../outside.bin",
        "sub/../../outside.bin",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "~/w.bin",
        "..\\outside.bin",
        "C:/w.bin",
        "C:w.bin",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_locations_outside_the_folder_are_refused(folder, location):
    refused(folder, location, "outside the folder of the model")


@pytest.mark.parametrize("location", ["", "w\0.bin", "w\n.bin"])
def test_locations_that_are_no_names_are_refused(folder, location):
    refused(folder, location, "without a readable file name")


@pytest.mark.parametrize("location", ["missing.bin", "%2e%2e/outside.bin", "w.bin/x"])
def test_files_that_do_not_exist_are_refused(folder, location):
    refused(folder, location, "cannot be opened")


def test_symbolic_links_are_refused_also_inside_the_folder(folder):
    (folder / "link.bin").symlink_to(folder / "w.bin")
    refused(folder, "link.bin", "links are not followed", offset=8)


def test_a_linked_folder_is_refused(folder):
    (folder / "sub").symlink_to(folder.parent)
    refused(folder, "sub/outside.bin", "links are not followed")


def test_hard_links_are_refused(folder):
    os.link(folder.parent / "outside.bin", folder / "hard.bin")
    refused(folder, "hard.bin", "is a hard link")


def test_pipes_and_folders_are_refused_without_waiting(folder):
    os.mkfifo(folder / "pipe")
    refused(folder, "pipe", "no regular file")
    (folder / "dir").mkdir()
    refused(folder, "dir", "no regular file")


@pytest.mark.parametrize(("offset", "text"), [(16, "which has 32"), (2**62, "which has 32")])
def test_ranges_outside_the_file_are_refused(folder, offset, text):
    refused(folder, "w.bin", text, offset=offset)


@pytest.mark.parametrize("offset", ["-8", "1e3", "0x8", "9" * 30, "٣"])
def test_offsets_that_are_no_numbers_are_refused(folder, offset):
    refused(folder, "w.bin", "not a number", offset=offset)


def test_a_length_that_contradicts_the_shape_is_refused(folder):
    refused(folder, "w.bin", "takes 24 bytes, but its external data has 20", length=20)


def test_many_tensors_on_one_range_count_many_times(folder):
    (folder / "w.bin").write_bytes(bytes(4000))
    proto = proto_with("w.bin")
    proto.graph.initializer[0].dims[:] = [1000]
    for i in range(100):
        copy = proto.graph.initializer.add()
        copy.CopyFrom(proto.graph.initializer[0])
        copy.name = f"w{i}"
    with pytest.raises(InvalidModelError, match=r"declare .* the limit is 100000"):
        read_model(save(proto, folder), limits=Limits(model_bytes=100000))


def test_external_data_of_a_constant_node_is_held_to_the_same_rules(folder):
    tensor = proto_with("../outside.bin").graph.initializer[0]
    proto = model([node("Constant", "", "w", value=tensor), node("Add", "x w", "y")], ["x[6]"], ["y[6]"])
    with pytest.raises(InvalidModelError, match=r"Attribute 'value' of Constant 'w' .* outside the folder"):
        read_model(save(proto, folder))


def test_the_model_itself_may_be_reached_through_a_link(folder):
    path = save(model([node("Relu", "x", "y")], ["x[1]"], ["y[1]"]), folder)
    (folder / "link.onnx").symlink_to(path)
    assert onnx.ModelProto() != read_model(folder / "link.onnx").proto
