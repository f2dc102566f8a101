"""The errors of the core, by who must act.

    SearchError
      UsageError            the request itself: option, metric, target, key          -> exit 2
        PinConflictError    a pin asks for what a chip rule forbids
      InvalidModelError     the model file: not ONNX, truncated, too large           -> exit 4
        UnsupportedModelError   readable, but nothing here can take it
          OutOfMemoryError      not in the memory there is
      InvalidDataError      the data does not fit the model: names, shapes, values   -> exit 4
      SelfTestError         our rewriting changed the network: our fault             -> exit 5
      ExportMismatchError   an exported file does not behave as it was measured      -> exit 5

A message says what, where, the limit and the way out. ``ValueError`` is for mistakes inside this code.
"""

from __future__ import annotations


class SearchError(Exception):
    """Base of every error a user can meet."""


class UsageError(SearchError):
    """The request names an option, metric, target or key that does not exist or does not fit."""


class PinConflictError(UsageError):
    """A pin asks for a precision that a rule of the target forbids; the message names the rule."""


class InvalidModelError(SearchError):
    """The model file cannot be read as a valid ONNX model within the limits."""


class UnsupportedModelError(InvalidModelError):
    """The model is valid ONNX, but uses something that cannot be evaluated here."""


class OutOfMemoryError(UnsupportedModelError):
    """The model, or a run of it, does not fit into the memory that this process may use."""


class InvalidDataError(SearchError):
    """The data set does not fit the model or holds values that cannot be used."""


class SelfTestError(SearchError):
    """The rewritten graph differs from the user's model although every quantizer is off."""


class ExportMismatchError(SearchError):
    """An exported model does not give the outputs that were measured."""
