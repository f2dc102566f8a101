"""The routers of the pages."""

from __future__ import annotations

from service.web import assets, compare_page, login, studies_page, study_page, submit_page, system_page, trial_page

PAGES = (
    assets.router,
    login.router,
    studies_page.router,
    study_page.router,
    trial_page.router,
    submit_page.router,
    compare_page.router,
    system_page.router,
)
"""All routers of the pages."""
