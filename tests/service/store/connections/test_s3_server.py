"""The S3 connection against moto, an S3 server that others wrote: many pages, odd names, large and empty files."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from service.store.connections.errors import ConnectionDownError, ConnectionInputError
from service.store.connections.fetching import Kept, fetch
from service.store.connections.place import Entry
from service.store.connections.remote import s3_place
from service.store.settings import S3Connection

LARGE = bytes(range(256)) * 80_000
ODD = ("a b.npy", "100%.npy", "plus+and&.npy", "名前/é.npy", "deep/er/x.npy", "empty.npy")
N_MANY = 2100
"""More than two pages of a listing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> str:
    """A bucket with what a lab keeps."""
    store: Any = boto3.client("s3", **_access(endpoint))
    store.create_bucket(Bucket="lab", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    put = store.put_object
    put(Bucket="lab", Key="team/net.onnx", Body=LARGE)
    put(Bucket="lab", Key="team/set/", Body=b"")  # what consoles make for a folder
    put(Bucket="lab", Key="team/set/deep/", Body=b"")
    for name in ODD:
        put(Bucket="lab", Key=f"team/set/{name}", Body=b"" if name == "empty.npy" else name.encode())
    put(Bucket="lab", Key="team/set/.hidden", Body=b"x")
    put(Bucket="lab", Key="team/settings.npy", Body=b"x")
    put(Bucket="lab", Key="other/net.onnx", Body=b"x")
    for n in range(N_MANY):
        put(Bucket="lab", Key=f"team/many/x/{n}.npy", Body=b"1")
    return "lab"


def _access(endpoint: str) -> dict[str, str]:
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "hunter2"}
    return {"endpoint_url": endpoint, "region_name": "eu-central-1", **keys}


def setting(endpoint: str, bucket: str, prefix: str = "team") -> S3Connection:
    keys = {"access_key": "AKIA", "secret_key": "hunter2", "region": "eu-central-1"}
    return S3Connection.model_validate({"kind": "s3", "bucket": bucket, "prefix": prefix, "endpoint": endpoint, **keys})


def test_files_and_folders_of_any_name_are_listed_and_read(endpoint: str, bucket: str) -> None:
    place = s3_place(setting(endpoint, bucket))
    assert list(place.entries("net.onnx")) == [Entry("", len(LARGE))]
    assert b"".join(place.read("net.onnx")) == LARGE
    found = list(place.entries("set"))
    assert {one.path for one in found} == set(ODD)
    for name in ODD:
        assert b"".join(place.read(f"set/{name}")) == (b"" if name == "empty.npy" else name.encode())
    assert {one.path: one.size for one in found}["empty.npy"] == 0


def test_a_folder_of_many_pages_is_complete(endpoint: str, bucket: str) -> None:
    found = list(s3_place(setting(endpoint, bucket)).entries("many"))
    assert len(found) == N_MANY
    assert {one.path for one in found} == {f"x/{n}.npy" for n in range(N_MANY)}


def test_a_whole_bucket_is_a_place_too(endpoint: str, bucket: str) -> None:
    assert list(s3_place(setting(endpoint, bucket, prefix="")).entries("other/net.onnx")) == [Entry("", 1)]


@pytest.mark.parametrize(
    ("inside", "path"), [("lab", "nothing"), ("lab", "set/nothing"), ("lab", "net"), ("none", "x")]
)
def test_what_is_not_there_is_said(endpoint: str, bucket: str, inside: str, path: str) -> None:
    with pytest.raises(ConnectionInputError, match="There is no"):
        list(s3_place(setting(endpoint, inside)).entries(path))


def test_a_store_that_is_away_is_down(endpoint: str) -> None:
    with pytest.raises(ConnectionDownError, match="the store failed at 'x'"):
        list(s3_place(setting("http://127.0.0.1:9", "lab")).entries("x"))


def test_an_input_is_fetched_with_its_limit(endpoint: str, bucket: str) -> None:
    numbers = itertools.count()

    def keep(chunks: Iterator[bytes], limit: int) -> Kept:
        data = b"".join(chunks)
        assert len(data) <= limit
        return Kept(f"{next(numbers)}", len(data))

    place = s3_place(setting(endpoint, bucket))
    made = fetch(place, "set", key="data.evaluation", limit=1000, keep=keep)
    assert (made["kind"], set(made["files"])) == ("directory", set(ODD))
    with pytest.raises(ConnectionInputError, match="the limit is 1000"):
        fetch(place, "net.onnx", key="model", limit=1000, keep=keep)
