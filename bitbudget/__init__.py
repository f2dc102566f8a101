"""The cheapest int8/int16/fp16 assignment of an ONNX network that meets its accuracy goal."""

from importlib.metadata import version

__version__ = version("bitbudget")
