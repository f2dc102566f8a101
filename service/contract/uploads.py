"""Bytes, and the models and data sets that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from service.contract.constraints import Count, Digest, Exactly, Name, RelativePath
from service.contract.message import Answer, Body

MOST_FILES = 100_000


@dataclass(frozen=True, kw_only=True)
class Blob(Answer):
    """A blob of the tenant."""

    digest: str
    size: int
    created: datetime


@dataclass(frozen=True, kw_only=True)
class Upload(Answer):
    """A model or data set as a list shows it."""

    id: str
    name: str | None
    size: int
    n_files: int
    pinned: bool
    created: datetime
    last_used: datetime


@dataclass(frozen=True, kw_only=True)
class Model(Upload):
    """A model."""

    digest: str
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Dataset(Upload):
    """A data set."""

    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class NewModel(Body):
    """A model: its file, and its external data by path."""

    name: Name | None = None
    digest: Digest
    files: Annotated[Mapping[RelativePath, Digest], Count(max_length=MOST_FILES)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewDataset(Body):
    """A data set of many files."""

    name: Name | None = None
    files: Annotated[Mapping[RelativePath, Digest], Count(min_length=1, max_length=MOST_FILES)]


@dataclass(frozen=True, kw_only=True)
class Pinned(Body):
    """Whether a model or data set is kept however long it is not used."""

    pinned: Annotated[bool, Exactly()]
