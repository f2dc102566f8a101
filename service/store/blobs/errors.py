"""What can go wrong with blobs, by who must act.

BlobError
  DigestMismatchError    the sender: the bytes are not those it announced
  BlobTooLargeError      the sender: more than the limit
  BlobNotFoundError      the administrator: a row says it is there, the disk does not
  CorruptBlobError       the administrator: the bytes on disk are not those that were stored
  StorageFullError       the administrator: no space left, or not writable
"""

from __future__ import annotations


class BlobError(Exception):
    """Base of what this package raises on purpose."""


class DigestMismatchError(BlobError):
    """The bytes have another SHA-256 than announced."""


class BlobTooLargeError(BlobError):
    """There are more bytes than allowed."""


class BlobNotFoundError(BlobError):
    """There is no such file."""


class CorruptBlobError(BlobError):
    """A stored file has changed."""


class StorageFullError(BlobError):
    """The disk takes nothing more."""
