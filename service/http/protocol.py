"""HTTP/1.1 as it comes from the network. What is no request is refused here, as a problem, and reaches nothing else.

Heads of more than 64 KiB, header lines that are none, lengths that contradict each other, chunks without a size.
"""

from __future__ import annotations

import json
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.http.answers import MEDIA_TYPE
from service.http.edge import PROTECTION
from service.problems import KINDS, problem_document

DETAIL = "What was sent is no HTTP/1.1 request, or its head is larger than 64 KiB."


class HttpProtocol(H11Protocol):
    """Uvicorn's protocol with our refusals."""

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be read, and close the connection; uvicorn calls it."""
        del msg  # uvicorn's text for people
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else an answer is on its way: it is cut
            request_id = str(uuid.uuid4())
            body = json.dumps(problem_document(KINDS["bad-request"], DETAIL, request_id=request_id)).encode()
            headers = {
                **PROTECTION,
                "content-type": MEDIA_TYPE,
                "content-length": str(len(body)),
                "connection": "close",
                "x-request-id": request_id,
            }
            self._send(h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request"))
            self._send(h11.Data(data=body))
            self._send(h11.EndOfMessage())
        self.transport.close()

    def _send(self, event: h11.Event) -> None:
        data = self.conn.send(event)
        if data:
            self.transport.write(data)
