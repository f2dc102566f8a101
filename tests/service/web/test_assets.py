"""Style sheets and scripts: named by their content, kept for ever, open to everybody."""

from plotly.offline import get_plotlyjs

from service.web.assets import address
from tests.service.api.serving import Server
from tests.service.web.reading import looking, read


def test_every_file_a_page_names_is_there_for_ever_and_for_everybody(server: Server) -> None:
    page = read(looking(server), "/")
    names = page.values("src", "script") + page.values("href", "link")
    assert len(names) > 4
    with server.anonymous() as client:
        for name in names:
            answer = client.get(name)
            assert answer.status_code == 200, name
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_plotly_is_that_of_the_wheel_and_has_a_digest_of_its_own(server: Server) -> None:
    with server.anonymous() as client:
        answer = client.get(address("plotly.min.js"))
        assert answer.text == get_plotlyjs()
        assert answer.headers["content-encoding"] == "gzip"
        plain = client.get(address("plotly.min.js"), headers={"Accept-Encoding": "identity"})
        assert ("content-encoding" in plain.headers, plain.text) == (False, get_plotlyjs())
    assert address("plotly.min.js").split("/")[2] != address("app.js").split("/")[2]


def test_what_no_page_names_is_not_there(server: Server) -> None:
    own = address("app.js").rpartition("/")[0]
    with server.anonymous() as client:
        for path in ("/static/0000000000000000/app.js", f"{own}/../app.js", f"{own}/%2e%2e/frame.py", f"{own}/nothing"):
            assert client.get(path).status_code in (401, 404), path
