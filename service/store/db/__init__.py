"""The database: tables, engine, one repository per noun. All SQL of the program is here and in ``migrations/``."""
