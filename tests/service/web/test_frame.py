"""What every page has: its policy, its refusals as pages, and nothing for those who may not come in."""

from tests.service.api.serving import Server, submit
from tests.service.web.reading import HTML, looking, read

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def test_no_script_and_no_style_stands_in_a_page(server: Server) -> None:
    study = submit(server.client())
    for path in ("/", f"/studies/{study}", "/nothing"):
        answer = looking(server).get(path)
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'self'", "'self'", "'self'")
        page = read(looking(server), path, status=answer.status_code)
        assert all(values.get("type") == "application/json" for values, _ in page.scripts)
        names = {name for _, values in page.elements for name in values}
        assert not [name for name in names if name == "style" or name.startswith("on")]


def test_a_refusal_is_a_page_for_people_and_a_problem_for_programs(server: Server) -> None:
    page = read(looking(server), "/nothing/here", status=404)
    assert "There is nothing at this address" in page.text
    assert server.client().get("/nothing/here").json()["code"] == "not-found"
    assert server.client().get("/v1/nothing", headers=HTML).json()["code"] == "not-found"


def test_another_tenants_study_is_the_unknown_page(server: Server) -> None:
    study = submit(server.client())
    other = looking(server, tenant="other")
    for part in ("", "/live", "/findings", "/artifacts", "/sensitivity"):
        there, nowhere = (read(other, f"/studies/{one}{part}", status=404) for one in (study, UNKNOWN))
        assert there.text.split("Request")[0] == nowhere.text.split("Request")[0]
        assert there.elements == nowhere.elements


def test_own_forms_are_sent_with_their_origin(server: Server) -> None:
    """With no-referrer a browser sends a form of the same site with "Origin: null", and nobody could sign in."""
    for path in ("/login", "/", "/nothing"):
        answer = looking(server).get(path)
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "referrer" not in read(looking(server), path, status=answer.status_code).values("name", "meta")


def test_the_login_looks_like_the_rest_and_names_no_page_of_others(server: Server) -> None:
    page = read(server.anonymous(headers=HTML), "/login?next=%2Fstudies%2Fx")
    assert page.values("value", "input") == ["/studies/x"]
    assert "dashboard.css" in " ".join(page.values("href", "link"))
    assert page.values("href", "a") == ["#content", "/"]
