"""The views of a study: each is an address below it, a template, and a function that reads what the template prints.

To add one: a module in ``service/web/views`` with a ``VIEW``, its template, its script if it has one, and a line here.
"""

from __future__ import annotations

from service.web.study_frame import StudyView
from service.web.views import artifacts, findings, layers, precision_map, sensitivity, trials

VIEWS: tuple[StudyView, ...] = (
    *(trials.VIEW, precision_map.VIEW, layers.VIEW, sensitivity.VIEW),
    *(findings.VIEW, artifacts.VIEW),
)
"""In the order of the tabs; the overview stands before them."""
