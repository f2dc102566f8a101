"""Models and data sets."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service import contract
from service.api.documented import PROBLEMS, created
from service.http.context import Paging, PagingDep, Parts, PartsDep, Reader, Submitter
from service.store.db.collections import DATASETS, MODELS, Collection, Collections
from service.usecases.accounts.principal import Principal
from service.usecases.uploads import sets
from service.usecases.uploads.sets import Wanted

_MODEL = {**PROBLEMS, **created(201, "model_id", "get_model", "pin_model", "delete_model")}
_DATASET = {**PROBLEMS, **created(201, "dataset_id", "get_dataset", "pin_dataset", "delete_dataset")}
router = APIRouter(prefix="/v1", responses=PROBLEMS)


@router.post("/models", operation_id="create_model", status_code=201, tags=["models"], responses=_MODEL)
def create_model(parts: PartsDep, principal: Submitter, body: contract.NewModel, response: Response) -> contract.Model:
    """Name an uploaded model, with its external data if it has any."""
    wanted = Wanted(name=body.name, digest=body.digest, files=body.files)
    with parts.database.writing() as connection:
        made = sets.create(connection, principal, MODELS, wanted, max_bytes=parts.settings.max_model_bytes)
    response.headers["Location"] = f"/v1/models/{made.id}"
    return _model(made)


@router.get("/models", operation_id="list_models", tags=["models"])
def list_models(parts: PartsDep, principal: Reader, paging: PagingDep) -> contract.Page[contract.Upload]:
    """Return the tenant's models, newest first."""
    return _page(parts, principal, MODELS, paging)


@router.get("/models/{model_id}", operation_id="get_model", tags=["models"])
def get_model(parts: PartsDep, principal: Reader, model_id: str) -> contract.Model:
    """Return one model."""
    with parts.database.reading() as connection:
        return _model(sets.get(connection, principal, MODELS, model_id))


@router.patch("/models/{model_id}", operation_id="pin_model", tags=["models"])
def pin_model(parts: PartsDep, principal: Submitter, model_id: str, body: contract.Pinned) -> contract.Model:
    """Keep a model however long it is not used, or not."""
    with parts.database.writing() as connection:
        return _model(sets.pin(connection, principal, MODELS, model_id, pinned=body.pinned))


@router.delete("/models/{model_id}", operation_id="delete_model", status_code=204, tags=["models"])
def delete_model(parts: PartsDep, principal: Submitter, model_id: str) -> None:
    """Forget a model; studies that use it keep its bytes."""
    with parts.database.writing() as connection:
        sets.delete(connection, principal, MODELS, model_id)


@router.post("/datasets", operation_id="create_dataset", status_code=201, tags=["datasets"], responses=_DATASET)
def create_dataset(
    parts: PartsDep, principal: Submitter, body: contract.NewDataset, response: Response
) -> contract.Dataset:
    """Name a data set of uploaded files: a directory of arrays or images."""
    wanted = Wanted(name=body.name, digest=None, files=body.files)
    with parts.database.writing() as connection:
        made = sets.create(connection, principal, DATASETS, wanted, max_bytes=parts.settings.max_dataset_bytes)
    response.headers["Location"] = f"/v1/datasets/{made.id}"
    return _dataset(made)


@router.get("/datasets", operation_id="list_datasets", tags=["datasets"])
def list_datasets(parts: PartsDep, principal: Reader, paging: PagingDep) -> contract.Page[contract.Upload]:
    """Return the tenant's data sets, newest first."""
    return _page(parts, principal, DATASETS, paging)


@router.get("/datasets/{dataset_id}", operation_id="get_dataset", tags=["datasets"])
def get_dataset(parts: PartsDep, principal: Reader, dataset_id: str) -> contract.Dataset:
    """Return one data set."""
    with parts.database.reading() as connection:
        return _dataset(sets.get(connection, principal, DATASETS, dataset_id))


@router.patch("/datasets/{dataset_id}", operation_id="pin_dataset", tags=["datasets"])
def pin_dataset(parts: PartsDep, principal: Submitter, dataset_id: str, body: contract.Pinned) -> contract.Dataset:
    """Keep a data set however long it is not used, or not."""
    with parts.database.writing() as connection:
        return _dataset(sets.pin(connection, principal, DATASETS, dataset_id, pinned=body.pinned))


@router.delete("/datasets/{dataset_id}", operation_id="delete_dataset", status_code=204, tags=["datasets"])
def delete_dataset(parts: PartsDep, principal: Submitter, dataset_id: str) -> None:
    """Forget a data set; studies that use it keep its bytes."""
    with parts.database.writing() as connection:
        sets.delete(connection, principal, DATASETS, dataset_id)


def _page(parts: Parts, principal: Principal, which: Collections, paging: Paging) -> contract.Page[contract.Upload]:
    with parts.database.reading() as connection:
        page = sets.listing(connection, principal, which, cursor=paging.cursor, limit=paging.limit)
    return contract.Page(items=tuple(_line(one) for one in page.rows), next=page.next)


def _line(one: Collection) -> contract.Upload:
    return contract.Upload(
        id=one.id,
        name=one.name,
        size=one.size,
        n_files=len(one.files) + (one.digest is not None),
        pinned=one.pinned,
        created=one.created,
        last_used=one.last_used,
    )


def _model(one: Collection) -> contract.Model:
    return contract.shaped(contract.Model, _line(one), digest=one.digest or "", files=dict(one.files))


def _dataset(one: Collection) -> contract.Dataset:
    return contract.shaped(contract.Dataset, _line(one), files=dict(one.files))
