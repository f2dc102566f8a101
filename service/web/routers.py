"""The routers of the pages."""

from __future__ import annotations

from service.web import assets, login, studies_page, study_page

PAGES = (assets.router, login.router, studies_page.router, study_page.router)
"""All routers of the pages."""
