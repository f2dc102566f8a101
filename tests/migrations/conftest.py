"""Fixtures of everything that needs a database."""

from tests.service.databases import database, database_url, empty_database, sqlite_database

__all__ = ["database", "database_url", "empty_database", "sqlite_database"]
