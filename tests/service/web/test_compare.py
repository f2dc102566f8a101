"""Studies and trials side by side."""

import json

from search.export.report import text
from tests.service.api.serving import Server, submit
from tests.service.web.reading import looking, read
from tests.service.web.test_study_pages import RESULT, finished, search_of


def test_values_stand_with_their_difference_from_the_first(server: Server) -> None:
    study = finished(server)
    page = read(looking(server), f"/compare?of={study}&of={study}:2")
    assert text.figure(0.7417) in page.text
    assert text.difference(0.71 - 0.7417) in page.text
    assert text.cost(1.132) in page.text
    charts = json.loads(next(body for values, body in page.scripts if "data-charts" in values))
    sides = charts["fronts-0"]["sides"]
    assert sides[0]["x"] == [1.0, 1.132, 1.941]
    assert (sides[1]["x"], sides[1]["at"]) == ([], {"x": 1.0, "y": 0.71})


def test_costs_of_different_targets_are_not_held_against_each_other(server: Server) -> None:
    client = server.client()
    found = []
    for target in ("j6m", "j6p"):
        study = submit(client, target={"name": target})
        search_of(server, study)
        server.finish(study, result=RESULT)
        found.append(study)
    page = read(looking(server), f"/compare?of={found[0]}&of={found[1]}")
    assert "for different targets" in page.text
    assert "%" not in page.text.split("Cost estimate")[1].split("The small figure")[0]


def test_nothing_and_too_much_can_be_asked_for(server: Server) -> None:
    study = finished(server)
    assert "Nothing is selected" in read(looking(server), "/compare").text
    many = "&".join(f"of={study}:{no}" for no in (1, 2, 3)) + f"&of={study}&of={study}&of={study}:2"
    assert read(looking(server), f"/compare?{many}").text.count("Remove") == 4
    for key in (f"{study}:9", f"{study}:x", "nothing", f"{study}:"):
        assert looking(server).get(f"/compare?of={key}").status_code in (200, 404)
    assert looking(server, tenant="other").get(f"/compare?of={study}").status_code == 404
