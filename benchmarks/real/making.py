"""Build, export and draw samples, with the packages of the list: run by the Python that has them, not by ours.

``python making.py REQUEST.json``: ``{"networks": [{name, source, exporter, inputs: {name: {kind, shape}}}], "out",
"site", "samples"}``; writes ``out/NAME.onnx``, ``out/NAME-calibration.npz`` and ``out/NAME-evaluation.npz``, and says
one line for each network that could not be exported. Nothing of the project is imported here.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SITE = Path(np.__file__).parents[1]
PICTURES = (
    *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "page.png", "text.png", "motorcycle_left.png"),
    *("hubble_deep_field.jpg", "retina.jpg", "coins.png", "camera.png", "ihc.png", "brick.png", "grass.png"),
)
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
RECORDINGS = ("house_lo.wav", "secosmic_lo.wav", "boom.wav", "car_door.wav", "punch.wav", "whiff.wav")
ROLES = {"calibration": 0, "evaluation": 1}


def images(rng: np.random.Generator, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Square crops of the pictures, half of the shorter side or more, resized; 0..1, in the layout of ``shape``."""
    from PIL import Image  # noqa: PLC0415

    is_first = shape[0] in (1, 3)
    height, width = shape[1:] if is_first else shape[:2]
    paths = [SITE / "skimage/data" / name for name in PICTURES]
    paths += [SITE / "sklearn/datasets/images" / name for name in PHOTOGRAPHS]
    opened = [Image.open(path).convert("RGB") for path in paths]
    found = []
    for i in range(n):
        image = opened[i % len(opened)]
        side = int(min(image.size) * rng.uniform(0.5, 1.0))
        left, top = (int(rng.integers(0, size - side + 1)) for size in image.size)
        crop = image.crop((left, top, left + side, top + side)).resize((width, height))
        found.append(np.asarray(crop, np.float32) / 255)
    stacked = np.stack(found)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)) if is_first else stacked


def audio(rng: np.random.Generator, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Windows of the recordings, each at its loudest within a few draws."""
    import soundfile  # noqa: PLC0415

    length = int(np.prod(shape))
    waves = []
    for name in RECORDINGS:
        wave = soundfile.read(SITE / "pygame/examples/data" / name, dtype="float32", always_2d=True)[0].mean(axis=1)
        waves.append(np.resize(wave, max(len(wave), 4 * length)))
    found = []
    for i in range(n):
        wave = waves[i % len(waves)]
        starts = rng.integers(0, len(wave) - length, 4)
        windows = [wave[start : start + length] for start in starts]
        found.append(max(windows, key=lambda window: float(np.abs(window).max())))
    return np.stack(found).reshape(n, *shape)


def texts() -> list[bytes]:
    """Every description that a package installed here brings."""
    paths = sorted(SITE.glob("*.dist-info/METADATA"))
    return [path.read_bytes() for path in paths if path.stat().st_size > 4096]


def tokens(rng: np.random.Generator, shape: tuple[int, ...], n: int, vocabulary: int) -> np.ndarray:
    """Words of the texts as numbers: a stable hash below ``vocabulary``."""
    words = b" ".join(texts()).split()
    numbers = np.array([sum((i + 1) * 31 * c for i, c in enumerate(word)) % vocabulary for word in words], np.int64)
    starts = rng.integers(0, len(numbers) - shape[0], n)
    return np.stack([numbers[start : start + shape[0]] for start in starts])


def file_bytes(rng: np.random.Generator, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Beginnings of Python files and texts, and of pictures."""
    paths = [*sorted(SITE.glob("scipy/**/*.py")), *sorted(SITE.glob("skimage/data/*.*g"))]
    found = []
    while len(found) < n:
        data = paths[int(rng.integers(len(paths)))].read_bytes()
        if len(data) >= shape[0]:
            found.append(np.frombuffer(data[: shape[0]], np.uint8).astype(np.int32))
    return np.stack(found)


def drawn(kind: str, shape: tuple[int, ...], n: int, rng: np.random.Generator) -> np.ndarray:
    """Samples of one input, on axis 0."""
    if kind.startswith("tokens-"):
        return tokens(rng, shape, n, int(kind.removeprefix("tokens-")))
    makers = {
        "image": lambda: ((images(rng, shape, n) - 0.45) / 0.225).astype(np.float32),
        "image-0-1": lambda: images(rng, shape, n),
        "audio": lambda: audio(rng, shape, n),
        "bytes": lambda: file_bytes(rng, shape, n),
        "noise": lambda: rng.normal(0, 0.1, (n, *shape)).astype(np.float32),
        "ones": lambda: np.ones((n, *shape), np.float32),
        "zeros": lambda: np.zeros((n, *shape), np.float32),
    }
    return makers[kind]()


def complete_torchvision() -> None:
    """Let torchvision load without its library, which does not fit a PyTorch of another build; detectors need it."""
    import torch  # noqa: PLC0415

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        importlib.import_module("torchvision")


_KEPT: list[Any] = []
"""Libraries that would take their operators along when they go."""


def built(source: str) -> Any:
    """The network that a line names: random weights, unless the builder reads them from a package."""
    library, _, rest = source.partition(" ")
    name, _, arguments = rest.partition(" ")
    options = json.loads(arguments or "{}")
    if library == "torchvision":
        import torchvision  # noqa: PLC0415

        found: Any = torchvision.models
        for part in name.split("."):
            found = getattr(found, part)
        return found(**{"weights": None, **options})
    if library == "timm":
        import timm  # noqa: PLC0415

        return timm.create_model(name, pretrained=False, **options)
    import transformers  # noqa: PLC0415

    if library == "sentence":
        with tempfile.TemporaryDirectory() as folder:
            zipfile.ZipFile(SITE / name).extractall(folder)
            return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    kind = getattr(transformers, name)
    return kind(kind.config_class(**options, attn_implementation="eager"))


class Plain:
    """Makes of a network with named inputs and a structured answer one that takes and gives tensors in order."""

    @staticmethod
    def of(network: Any, names: list[str]) -> Any:
        """Wrap ``network``, whose inputs are ``names``."""
        import torch  # noqa: PLC0415

        class Wrapped(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, *values: Any) -> Any:
                if len(names) == 1 and names[0] == "x":
                    return _tensors(self.network(values[0]))
                return _tensors(self.network(**dict(zip(names, values, strict=True))))

        return Wrapped().eval()


def _tensors(answer: Any) -> Any:
    if isinstance(answer, dict):
        return tuple(value for value in answer.values() if hasattr(value, "shape"))
    return answer


def export(network: dict[str, Any], path: Path, feeds: dict[str, np.ndarray]) -> None:
    """Build one network and export it with an open batch, where the exporter can."""
    import torch  # noqa: PLC0415

    torch.manual_seed(0)
    names = list(feeds)
    wrapped = Plain.of(built(network["source"]), names)
    settle(wrapped, feeds)
    way, _, opset = network["exporter"].partition("-")
    values = tuple(torch.from_numpy(array[:2]) for array in feeds.values())
    options: dict[str, Any] = {"opset_version": int(opset), "input_names": names}
    if way == "torchscript":
        options["dynamo"] = False
        options["dynamic_axes"] = {name: {0: "batch"} for name in names}
    else:
        batch = torch.export.Dim("batch", min=1, max=64)
        options |= {"dynamo": True, "external_data": False, "dynamic_shapes": (tuple({0: batch} for _ in names),)}
    with torch.no_grad():
        torch.onnx.export(wrapped, values, str(path), **options)


def settle(network: Any, feeds: dict[str, np.ndarray]) -> None:
    """Let every BatchNorm see the samples once: with the statistics it is born with, values of random nets vanish."""
    import torch  # noqa: PLC0415

    norms = [one for one in network.modules() if isinstance(one, torch.nn.modules.batchnorm._BatchNorm)]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None
        one.train()
    if norms:
        with torch.no_grad():
            network(*(torch.from_numpy(array) for array in feeds.values()))
    network.eval()


def make(network: dict[str, Any], out: Path, n_samples: int) -> None:
    """Write the ONNX file and both sets of samples of one network."""
    feeds: dict[str, np.ndarray] = {}
    for role, seed in ROLES.items():
        rng = np.random.default_rng(seed)
        feeds = {
            name: drawn(one["kind"], tuple(one["shape"]), n_samples, rng)
            for name, one in network["inputs"].items()
            if one["kind"] != "constant"
        }
        if network["exporter"]:
            whole = ("tokens-", "ones", "zeros")
            is_text = any(one["kind"].startswith("tokens-") for one in network["inputs"].values())
            for name, one in network["inputs"].items():
                if is_text and one["kind"].startswith(whole):
                    feeds[name] = feeds[name].astype(np.int64)
        np.savez(out / f"{network['name']}-{role}.npz", **feeds)
    path = out / f"{network['name']}.onnx"
    if not network["exporter"]:
        shutil.copy(SITE / network["source"], path)
    else:
        export(network, path, feeds)


def main() -> None:
    """Make every network of the request that is not there yet."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    complete_torchvision()
    request = json.loads(Path(sys.argv[1]).read_text())
    out = Path(request["out"])
    for network in request["networks"]:
        try:
            make(network, out, request["samples"])
        except Exception as error:  # noqa: BLE001  an exporter's limits are no business of ours
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            (out / f"{network['name']}.failed").write_text(text)
            print(f"{network['name']}: {text}", flush=True)


if __name__ == "__main__":
    main()
